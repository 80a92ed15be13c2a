//! Puts the blocks of an answer one after the other, and joins halves of surrogate pairs.
