//! The decoders themselves, against answers as vendors really gave them: what they understand is what recordings say.

use super::decode::decode;
use super::recordings::cases;
use super::verdict::judge;

#[test]
fn the_decoders_understand_recorded_answers() {
    let (mut right, mut all) = (0, 0);
    for case in cases().iter().filter(|case| case.status == 200) {
        let usage_asked = true;
        let seen = decode(case.protocol, case.shape, &case.response, usage_asked);
        let verdict = judge(case, case.protocol, &seen);
        all += 1;
        right += usize::from(verdict.content.is_empty() && verdict.usage.is_empty());
        for problem in verdict.content.iter().chain(&verdict.usage) {
            println!("{:?} {}: {problem}", case.protocol, case.id);
        }
    }
    println!("{right} of {all} recorded answers are understood as their recording says");
    // Vendors that leave their protocol are the readers' affair, not these decoders'.
    assert!(all == 0 || right * 100 >= all * 80, "{right} of {all}");
}
