//! Looks on at an answer of the same protocol: its bytes go on as they came, and what must be known of them is learnt.
