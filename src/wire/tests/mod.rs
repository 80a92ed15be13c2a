//! The proof of translation: every protocol to every protocol, judged by decoders and checkers that know nothing of the
//! translators.

mod answers;
mod cells;
mod complete;
mod decode;
mod drive;
mod edge;
mod fixtures;
mod honest;
mod invented;
mod judges;
mod known;
mod native;
mod neighbours;
mod own;
mod properties;
mod recordings;
mod requests;
mod round;
mod targets;
mod verdict;
