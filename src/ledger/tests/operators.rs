//! Accounts, keys, fundings, the lock.

use secrecy::ExposeSecret;

use super::*;

fn new_key(account: &str) -> NewKey {
    NewKey { account: account.into(), name: "laptop".into(), ..NewKey::default() }
}

#[test]
fn a_key_is_found_until_it_is_revoked_or_expired() {
    let bench = Bench::new(0);
    let ledger = &bench.ledger;
    let made = ledger
        .create_key(NewKey {
            models: Some(vec!["gpt-4o".into()]),
            policy: Some(Policy::Strict),
            expires_at_ms: Some(5000),
            ..new_key("acc")
        })
        .unwrap();
    let secret = made.secret.expose_secret();
    let hint = format!("sk-qw-…{}", &secret[secret.len() - 4..]);
    assert_eq!((&made.view.hint, made.view.policy), (&hint, "strict"));
    let found = ledger.authenticate(secret, 4999).unwrap();
    assert_eq!((&*found.account, &found.key_id, found.policy), ("acc", &made.view.id, Policy::Strict));
    assert_eq!(found.models, Some(shared(&["gpt-4o"])));
    assert_eq!(ledger.authenticate(secret, 5000).unwrap_err(), KeyRefusal::Expired);
    let revoked = ledger.revoke_key(&made.view.id).unwrap();
    assert_eq!(ledger.authenticate(secret, 0).unwrap_err(), KeyRefusal::Revoked);
    // A second revocation changes nothing.
    assert_eq!(ledger.revoke_key(&made.view.id).unwrap().revoked_at, revoked.revoked_at);
    assert!(matches!(ledger.revoke_key("key-0"), Err(LedgerError::NotFound(_))));
    assert!(matches!(ledger.create_key(new_key("nobody")), Err(LedgerError::NotFound(_))));
}

#[test]
fn keys_outlive_the_process_and_the_policy_follows_the_gateway() {
    let bench = Bench::new(0);
    let made = bench.ledger.create_key(new_key("acc")).unwrap();
    let revoked = bench.ledger.create_key(new_key("acc")).unwrap();
    bench.ledger.revoke_key(&revoked.view.id).unwrap();
    assert_eq!(made.view.policy, "clamp");
    bench.ledger.close();
    let ledger = Ledger::open(Options { policy: Policy::Strict, ..options(&bench.path()) }).unwrap();
    assert_eq!(ledger.authenticate(made.secret.expose_secret(), 0).unwrap().policy, Policy::Strict);
    assert_eq!(ledger.authenticate(revoked.secret.expose_secret(), 0).unwrap_err(), KeyRefusal::Revoked);
    let listed = ledger.keys(Some("acc")).unwrap();
    assert_eq!(listed.iter().map(|key| &key.id).collect::<Vec<_>>(), [&made.view.id, &revoked.view.id]);
    assert_eq!(ledger.keys(None).unwrap().len(), 2);
    assert!(ledger.keys(Some("nobody")).unwrap().is_empty());
}

#[test]
fn every_typo_is_refused_by_the_checksum() {
    let secret = keys::key_text(&[0xa5; 32]);
    let text = secret.expose_secret();
    let ring = keys::Keyring::new(keys::Pepper::new(b"p"), Default::default());
    // A ring without keys says `Invalid` to everything, so the shape is looked at by itself.
    assert!(keys::well_formed(text));
    assert_eq!(ring.authenticate(text, 0).unwrap_err(), KeyRefusal::Invalid);
    for at in 0..text.len() {
        for other in ["0", "z", "é", " "] {
            let mut typo = text.to_owned();
            typo.replace_range(at..at + 1, other);
            assert!(typo == text || !keys::well_formed(&typo), "{typo}");
        }
    }
    for odd in ["", "sk-qw-", &text[1..], &text[..text.len() - 1], &format!("{text}0"), "sk-qw-é'; DROP TABLE keys; --"]
    {
        assert!(!keys::well_formed(odd), "{odd}");
        assert_eq!(ring.authenticate(odd, 0).unwrap_err(), KeyRefusal::Invalid);
    }
}

#[test]
fn the_secret_is_in_base_62_of_fixed_width() {
    let zero = keys::key_text(&[0; 32]);
    assert!(zero.expose_secret().starts_with(&format!("sk-qw-{}", "0".repeat(43))));
    let mut one = [0; 32];
    one[31] = 62;
    assert!(keys::key_text(&one).expose_secret().starts_with(&format!("sk-qw-{}10", "0".repeat(41))));
}

#[test]
fn keys_that_share_a_long_prefix_are_two_keys() {
    let bench = Bench::new(0);
    let mut secrets = [[1; 32]; 2];
    secrets[1][31] = 2;
    let made = secrets.map(|secret| bench.ledger.create_key_with_secret(new_key("acc"), secret).unwrap());
    let [first, second] = &made;
    assert_eq!(first.secret.expose_secret()[..40], second.secret.expose_secret()[..40]);
    for key in &made {
        assert_eq!(bench.ledger.authenticate(key.secret.expose_secret(), 0).unwrap().key_id, key.view.id);
    }
}

#[test]
fn a_seeded_key_is_the_same_every_time() {
    let bench = Bench::new(0);
    let first = bench.ledger.create_key_with_secret(new_key("acc"), [3; 32]).unwrap();
    let again = bench.ledger.create_key_with_secret(new_key("acc"), [3; 32]).unwrap();
    assert_eq!(first.view.id, again.view.id);
    assert_eq!(first.secret.expose_secret(), again.secret.expose_secret());
    assert_eq!(bench.ledger.keys(None).unwrap().len(), 1);
    bench.ledger.revoke_key(&first.view.id).unwrap();
    assert!(matches!(bench.ledger.create_key_with_secret(new_key("acc"), [3; 32]), Err(LedgerError::Invalid(_))));
}

#[test]
fn no_file_of_the_data_directory_holds_a_secret() {
    let bench = Bench::new(0);
    let made = bench.ledger.create_key(new_key("acc")).unwrap();
    let secret = made.secret.expose_secret().as_bytes();
    let check = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        // The middle of the secret: neither prefix nor hint.
        assert!(memchr::memmem::find(&bytes, &secret[10..30]).is_none(), "{}", path.display());
    };
    bench.ledger.close();
    for entry in std::fs::read_dir(bench.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            check(&path);
        }
    }
}

#[test]
fn the_pepper_is_made_once_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let options = Options { pepper: None, ..options(&data_dir) };
    let ledger = Ledger::open(options.clone()).unwrap();
    ledger.create_account(Some("acc"), "").unwrap();
    let made = ledger.create_key(new_key("acc")).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data_dir), mode(&data_dir.join("pepper"))), (0o700, 0o600));
    drop(ledger);
    let ledger = Ledger::open(options).unwrap();
    assert!(ledger.authenticate(made.secret.expose_secret(), 0).is_ok());
}

#[test]
fn options_do_not_show_their_pepper() {
    assert!(!format!("{:?}", options(Path::new("d"))).contains("pepper"));
}

#[test]
fn a_funding_counts_once_for_its_key() {
    let bench = Bench::new(0);
    let ledger = &bench.ledger;
    let fund = |nano: i64, key: &str| ledger.fund("acc", Amount::from_nano(nano), key);
    assert_eq!(fund(500, "a").unwrap().posted.nano(), 500);
    assert_eq!(fund(500, "a").unwrap().posted.nano(), 500);
    assert_eq!(fund(70, "b").unwrap().posted.nano(), 570);
    assert!(matches!(fund(501, "a"), Err(LedgerError::Invalid(problem)) if problem.contains("0.0000005")));
    for (nano, key) in [(0, "c"), (-1, "c"), (1, ""), (1, &*"k".repeat(256))] {
        assert!(matches!(fund(nano, key), Err(LedgerError::Invalid(_))), "{nano} {key}");
    }
    assert!(matches!(fund(i64::MAX, "d"), Err(LedgerError::Invalid(_))));
    assert!(matches!(ledger.fund("nobody", Amount::from_nano(1), "a"), Err(LedgerError::NotFound(_))));
    assert_eq!(bench.wallet(), (570, 0));
    let report = bench.prove();
    assert_eq!((report.calls, report.transfers, report.accounts), (0, 4, 3));
    bench.ledger.close();
    let reopened = open(&bench.path());
    assert_eq!(reopened.wallet("acc").unwrap().posted.nano(), 570);
    assert_eq!(reopened.fund("acc", Amount::from_nano(500), "a").unwrap().posted.nano(), 570);
}

#[test]
fn accounts_have_plain_ids() {
    let bench = Bench::new(0);
    let minted = bench.ledger.create_account(None, "Second").unwrap();
    assert!(minted.id.starts_with("acc-"));
    assert!(matches!(bench.ledger.create_account(Some("acc"), ""), Err(LedgerError::Invalid(_))));
    for id in ["", "a:b", "a b", "ä", &*"a".repeat(65)] {
        assert!(matches!(bench.ledger.create_account(Some(id), ""), Err(LedgerError::Invalid(_))), "{id}");
    }
    let names: Vec<String> = bench.ledger.accounts().unwrap().into_iter().map(|account| account.name).collect();
    assert_eq!(names, ["Account", "Second"]);
    assert!(matches!(bench.ledger.wallet("nobody"), Err(LedgerError::NotFound(_))));
}

#[test]
fn a_data_directory_has_one_owner() {
    let bench = Bench::new(0);
    match Ledger::open(options(&bench.path())).err() {
        Some(LedgerError::Locked { path, pid, admin_url }) => {
            assert_eq!((path, pid), (bench.path(), std::process::id()));
            assert_eq!(admin_url.as_deref(), Some("http://127.0.0.1:9090"));
        }
        other => panic!("{other:?}"),
    }
    let clone = bench.ledger.clone();
    clone.close();
    bench.ledger.close();
    drop(open(&bench.path()));
    // Dropping the last handle let go of it too.
    drop(open(&bench.path()));
}

#[test]
fn another_pepper_is_refused_while_there_are_keys() {
    let bench = Bench::new(0);
    bench.ledger.close();
    let other = Options { pepper: Some(b"other".to_vec()), ..options(&bench.path()) };
    let ledger = Ledger::open(other.clone()).unwrap();
    ledger.create_key(new_key("acc")).unwrap();
    ledger.close();
    let refused = Ledger::open(options(&bench.path())).err();
    assert!(matches!(refused, Some(LedgerError::Invalid(problem)) if problem.contains("pepper")));
    drop(Ledger::open(other).unwrap());
}
