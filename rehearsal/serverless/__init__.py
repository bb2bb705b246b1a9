"""What runs serverless containers and API gateways in a rehearsal.

One daemon, the front, answers at SERVERLESS:443 in the rehearsal's internet. It owns the instances: it starts, adopts,
replaces and stops them, so it goes on without the emulator, and a front that was killed finds its instances again.

    served      the file that says what is served: containers with their live revision, gateways with their routes
    network     the namespace `serverless`: the front's own, with a bridge to the instances and a way out
    instances   one instance: a podman container in a namespace of its own
    scaling     decisions without any effect: which instance takes a request, how many to start, which to stop
    pool        the instances of one revision, and the requests that wait for them
    invoke      one request to a container: who may, limits, headers, time, what an end of the instance means
    routing     which operation of an API gateway answers
    gateway     one request to an API gateway: its integrations
    resolver    names as instances learn them
    control     the side door, and what was set there
    front       TLS, host names, the metadata service, and the side door

The emulator's World (rehearsal/world/serverless.py) writes the file, whole, and asks at the side door (a Unix socket)
for an instance of a new revision to be started. Only when that has answered on its port does the cloud call the
revision active, and the World write it into the file. So requests never wait for an image that does not start; the old
revision serves until then, and ends what it has begun.

How it answers: 504, as the product documents, when the time of a request, the start of an instance included, is over.
The product's documentation says nothing of the others: 413 for more than 3.5 MB; 403 for who may not; 429 when the limit
of instances or requests is reached and the queue is full; 502 with the reason in the body when an instance has ended,
for want of memory or by itself."""
