CREATE TABLE inference_api.api_keys (
    name        text PRIMARY KEY CHECK (name <> ''),
    digest      bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    disabled    boolean NOT NULL DEFAULT false
);

CREATE TABLE inference_api.predictions (
    id            uuid PRIMARY KEY,
    request_id    text NOT NULL,
    at            timestamptz NOT NULL,
    client        text NOT NULL,
    model         text NOT NULL,
    version       text NOT NULL,
    latency_ms    double precision NOT NULL,
    rows          integer NOT NULL,
    input_sha256  bytea NOT NULL CHECK (length(input_sha256) = 32),
    output        jsonb
);

CREATE INDEX predictions_at ON inference_api.predictions (at);

COMMENT ON COLUMN inference_api.predictions.input_sha256 IS
    'SHA-256 over the input tensors as they were sent to Triton (little endian, row-major), in the order of the model''s inputs';
COMMENT ON COLUMN inference_api.predictions.output IS
    'the outputs by name, one entry a row; null when larger than the configured limit';
