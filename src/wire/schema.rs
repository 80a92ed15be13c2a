//! JSON Schemas as each protocol takes them. Walks schema positions only; values in `enum`, `const` and `default` are data.
