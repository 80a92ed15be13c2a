//! Which channel next: plan and attempts, with `now` and randomness as arguments. Must never know sockets.
