//! The `qingwave` command: parses arguments and hands over to `app`.

fn main() {}
