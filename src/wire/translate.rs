//! One answer from an upstream's protocol into the client's: bytes in, bytes out.
