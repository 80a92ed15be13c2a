//! What routing, pricing and splicing must know of a request of any protocol, in one pass without a tree.
