//! Undoes in an answer what the request's writer had to change.
