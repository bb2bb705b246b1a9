"""Which TCP ports of which addresses take a connection. Sent to machines as text: it needs Python's own library only.

What counts is what the kernel knows of a connection when its time is up, however late a busy machine lets this process
look. A port that is known to be open is asked first and last in each wave: where it is missed, the scan says nothing.
"""

import errno
import resource
import select
import socket
import time

AT_ONCE = 1000  # connections of a wave: as many packets as Linux queues for one processor (netdev_max_backlog)
SECONDS = 2.0  # what a wave waits for answers: a lost packet is repeated after one
OPEN, REFUSED, SILENT = "open", "refused", "silent"
# Whoever ends a connection has taken it. Nobody answers where an address is out of reach.
OUTCOMES = {
    0: OPEN,
    errno.ECONNRESET: OPEN,
    errno.EPIPE: OPEN,
    errno.ECONNREFUSED: REFUSED,
    errno.ETIMEDOUT: SILENT,
    errno.ENETUNREACH: SILENT,
    errno.EHOSTUNREACH: SILENT,
}


def outcome(code):
    """The outcome that an error number stands for; an OSError where it stands for none."""
    if code not in OUTCOMES:
        raise OSError(code, errno.errorcode.get(code))
    return OUTCOMES[code]


def wave(asked):
    """One outcome for each (address, port), in their order. All are asked at once; the time starts with the last."""
    outcomes, waiting, poller = [SILENT] * len(asked), {}, select.poll()
    for place, (address, port) in enumerate(asked):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        code = connection.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            waiting[connection.fileno()] = place, connection
            poller.register(connection, select.POLLOUT)
        else:
            outcomes[place] = outcome(code)
            connection.close()
    end = left = time.monotonic() + SECONDS
    while waiting and left > 0:
        left = end - time.monotonic()  # none: what has come meanwhile is still looked at, once
        for number, _ in poller.poll(max(left, 0) * 1000):
            place, connection = waiting.pop(number)
            poller.unregister(number)
            outcomes[place] = outcome(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            connection.close()
    for _, connection in waiting.values():
        connection.close()
    return outcomes


def scan(targets, ports, control):
    """By target ({name: address}), which ports are open and which are refused; a firewall leaves the others silent.

    `control` is an (address, port) that is known to be open. Exits with a message where it is not found.
    """
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, max(files, AT_ONCE + 100)), most))
    found = {name: {OPEN: [], REFUSED: []} for name in targets}
    wanted = [(name, port) for port in ports for name in targets]
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        first, *outcomes, last = wave([control, *((targets[name], port) for name, port in part), control])
        if {first, last} != {OPEN}:
            raise SystemExit(
                f"{control[0]}:{control[1]} is known to be open, and a scan found it {first}, then {last}: "
                "the scan cannot be used. Is that service down, or the machine or the network overloaded?"
            )
        for (name, port), said in zip(part, outcomes, strict=True):
            if said != SILENT:
                found[name][said].append(port)
    return found
