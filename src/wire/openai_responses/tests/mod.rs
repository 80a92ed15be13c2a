mod answers;
mod grammar;
mod recordings;
mod request_read;
mod request_write;
mod stream_read;
mod stream_write;
