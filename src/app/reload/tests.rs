//! Trees in temporary folders: what is read, refused, kept and swapped.

use std::sync::mpsc::channel;

use secrecy::ExposeSecret;

use super::*;

const PROVIDERS: &str = "- {id: local, base_url: 'http://127.0.0.1:8000/v1', auth: none}\n";

fn models(usd: &str) -> String {
    format!(
        "- id: tiny\n  vendor: v\n  limits: {{context: 100, max_output: 10}}\n  price: [{{meter: requests, per: 1, usd: \"{usd}\"}}]\n  \
         channels: [{{id: a, provider: local, upstream: x, protocol: openai.chat}}]\n  sources: [{{ref: r, seen: \"2026-11-24\"}}]\n"
    )
}

struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree { root: tempfile::tempdir().unwrap() };
        tree.write("catalog/providers.yaml", PROVIDERS);
        tree.write("catalog/models/v.yaml", &models("1"));
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn folders(&self) -> Vec<PathBuf> {
        folders(&self.root.path().join("catalog"), Some(&self.root.path().join("conf/catalog.d")))
    }

    fn reloader(&self) -> Reloader {
        Reloader::new(Places {
            catalog_dir: self.root.path().join("catalog"),
            overlay_dir: Some(self.root.path().join("conf/catalog.d")),
            data_dir: self.root.path().join("data"),
            demo: None,
        })
    }
}

/// The state's parts that a reload touches.
struct Parts {
    current: ArcSwap<Catalog>,
    metrics: Metrics,
    remembered: Vec<(String, usize)>,
}

impl Parts {
    fn of(reloader: &Reloader) -> Parts {
        let current = ArcSwap::from_pointee(reloader.boot().unwrap().catalog);
        Parts { current, metrics: Metrics::new(), remembered: Vec::new() }
    }

    fn reload(&mut self, reloader: &Reloader, force: bool) -> Result<Reloaded, ReloadRefused> {
        let remembered = &mut self.remembered;
        let current = &self.current;
        let before = current.load().rev.clone();
        reloader.reload_into(current, &self.metrics, force, &mut |owner, rows| {
            assert_eq!(current.load().rev, before, "rows are known before the swap");
            remembered.push((owner.to_owned(), rows.len()));
        })
    }

    fn reloads(&self, result: &str) -> u64 {
        self.metrics.catalog_reloads.with_label_values(&[result]).get()
    }
}

#[test]
fn a_change_takes_effect_and_is_told() {
    let tree = Tree::new();
    let reloader = tree.reloader();
    let mut parts = Parts::of(&reloader);
    let pinned = parts.current.load_full();
    tree.write("conf/catalog.d/10.yaml", "models: {tiny: {price: [{meter: requests, per: 1, usd: \"2\"}]}}\n");
    let reloaded = parts.reload(&reloader, false).unwrap();
    assert_eq!(reloaded.changes, ["model tiny: requests 1 per 1 → 2 per 1"]);
    assert_eq!((reloaded.models, reloaded.channels), (1, 1));
    assert_eq!(reloaded.rev, parts.current.load().rev);
    assert_ne!(pinned.rev, reloaded.rev);
    assert_eq!(pinned.models()[0].rates.rows()[0].rate.nano_usd, 1_000_000_000, "a pinned catalog keeps its price");
    assert_eq!(parts.remembered, [("tiny".to_owned(), 1)]);
    assert_eq!((parts.reloads("ok"), parts.reloads("refused")), (1, 0));
    assert_eq!(parts.metrics.catalog_models.get(), 1);
    assert!(parts.reload(&reloader, false).unwrap().changes.is_empty());
    assert_eq!(parts.remembered.len(), 1, "known rows are not told again");
}

#[test]
fn a_broken_tree_keeps_the_last_good_catalog() {
    let tree = Tree::new();
    let reloader = tree.reloader();
    let mut parts = Parts::of(&reloader);
    let before = parts.current.load().rev.clone();
    tree.write("catalog/models/v.yaml", &models("1").replace("\"1\"", "1"));
    let Err(ReloadRefused::Broken(problems)) = parts.reload(&reloader, true) else { panic!("broken") };
    let shown = problems[0].to_string();
    assert!(
        shown.ends_with(
            "catalog/models/v.yaml:4:42: models[tiny].price[0].usd: expected a quoted decimal, got number 1"
        ),
        "{shown}"
    );
    assert_eq!(parts.current.load().rev, before);
    assert_eq!((parts.reloads("ok"), parts.reloads("refused")), (0, 1));
    assert!(parts.remembered.is_empty());
}

#[test]
fn a_leap_needs_force() {
    let tree = Tree::new();
    let reloader = tree.reloader();
    let mut parts = Parts::of(&reloader);
    tree.write("catalog/models/v.yaml", &models("11"));
    let Err(ReloadRefused::NeedsForce(reasons)) = parts.reload(&reloader, false) else { panic!("a leap") };
    assert_eq!(reasons, ["model tiny: requests 1 per 1 → 11 per 1, more than 10 times"]);
    assert_eq!(parts.reloads("refused"), 1);
    parts.reload(&reloader, true).unwrap();
    assert_eq!(parts.reloads("ok"), 1);
}

#[test]
fn a_start_with_broken_files_serves_the_last_good_ones() {
    let tree = Tree::new();
    let good = tree.reloader().boot().unwrap();
    assert!(good.stale.is_none());
    tree.write("catalog/models/v.yaml", "- id: [\n");
    let boot = tree.reloader().boot().unwrap();
    assert_eq!(boot.catalog.rev, good.catalog.rev);
    assert!(matches!(boot.stale, Some(ReloadRefused::Broken(_))));
    fs::remove_dir_all(tree.root.path().join("data")).unwrap();
    assert!(matches!(tree.reloader().boot(), Err(ReloadRefused::Broken(_))));
}

#[test]
fn a_refused_reload_is_not_kept() {
    let tree = Tree::new();
    let reloader = tree.reloader();
    let mut parts = Parts::of(&reloader);
    let good = parts.current.load().rev.clone();
    tree.write("catalog/models/v.yaml", &models("11"));
    parts.reload(&reloader, false).unwrap_err();
    tree.write("catalog/models/v.yaml", "broken: [\n");
    assert_eq!(tree.reloader().boot().unwrap().catalog.rev, good);
}

#[test]
fn what_cannot_be_read_says_so() {
    let tree = Tree::new();
    let mut places = tree.reloader().places;
    places.catalog_dir = tree.root.path().join("nowhere");
    let refused = Reloader::new(places).check().unwrap_err();
    assert!(matches!(&refused, ReloadRefused::Unreadable(error) if error.contains("nowhere")), "{refused:?}");
    tree.write("catalog/models/large.yaml", &"#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1));
    let refused = tree.reloader().check().unwrap_err();
    assert!(
        matches!(&refused, ReloadRefused::Unreadable(e) if e.contains("large.yaml: has more than 8388608 bytes")),
        "{refused:?}"
    );
}

#[test]
fn other_files_are_left_alone_and_the_overlay_is_applied_by_name() {
    let tree = Tree::new();
    for path in ["catalog/README.md", "catalog/models/.v.yaml.swp", "catalog/.hidden.yaml", "conf/catalog.d/README.md"]
    {
        tree.write(path, "not: [yaml");
    }
    tree.write("conf/catalog.d/20.yaml", "models: {tiny: {name: Second}}\n");
    tree.write("conf/catalog.d/10.yml", "models: {tiny: {name: First, vendor: w}}\n");
    tree.write("catalog/inputs/chat@1.json", "{}");
    let catalog = tree.reloader().check().unwrap();
    assert_eq!((&*catalog.models()[0].name, &*catalog.models()[0].vendor), ("Second", "w"));
}

#[test]
fn secrets_are_read_by_reference() {
    let tree = Tree::new();
    tree.write("key", "  sk-1\n");
    tree.write("empty", "\n");
    let file = |name: &str| format!("file:{}", tree.root.path().join(name).display());
    let value = |reference: &str| resolve_secret(reference).map(|secret| secret.expose_secret().to_owned());
    assert_eq!(value(&file("key")).as_deref(), Some("sk-1"));
    assert_eq!(value(&file("empty")), None);
    assert_eq!(value(&file("missing")), None);
    assert_eq!(value("env:PATH"), std::env::var("PATH").ok().map(|path| path.trim().to_owned()));
    assert_eq!(value("env:QINGWAVE_NO_SUCH_NAME"), None);
    assert_eq!(value("sk-literal"), None);
}

#[test]
fn reading_is_no_change() {
    use notify::event::{CreateKind, ModifyKind, RemoveKind};
    for (kind, change) in [
        (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
        (EventKind::Access(AccessKind::Read), false),
        (EventKind::Access(AccessKind::Close(AccessMode::Read)), false),
        (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
        (EventKind::Create(CreateKind::File), true),
        (EventKind::Modify(ModifyKind::Any), true),
        (EventKind::Remove(RemoveKind::File), true),
    ] {
        assert_eq!(is_change(&kind), change, "{kind:?}");
    }
}

#[test]
fn a_watch_tells_a_change_and_ends_when_dropped() {
    let tree = Tree::new();
    let (told, changes) = channel();
    let watch = watch(&tree.folders(), move || told.send(()).unwrap_or_default()).unwrap();
    tree.write("catalog/models/v.yaml", &models("2"));
    changes.recv_timeout(Duration::from_secs(60)).expect("the change is told");
    drop(watch);
    assert!(changes.recv().is_err(), "its thread has ended, and the closure with it");
}

#[test]
fn a_file_that_is_replaced_by_renaming_is_noticed() {
    let tree = Tree::new();
    let (told, changes) = channel();
    let watch = watch(&tree.folders(), move || told.send(()).unwrap_or_default()).unwrap();
    for usd in ["2", "3"] {
        tree.write("other/new.yaml", &models(usd));
        fs::rename(tree.root.path().join("other/new.yaml"), tree.root.path().join("catalog/models/v.yaml")).unwrap();
        changes.recv_timeout(Duration::from_secs(60)).expect("the change is told");
    }
    drop(watch);
}

#[test]
fn reloads_at_once_are_serial() {
    let tree = Tree::new();
    let reloader = tree.reloader();
    let current = ArcSwap::from_pointee(reloader.boot().unwrap().catalog);
    let metrics = Metrics::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| reloader.reload_into(&current, &metrics, false, &mut |_, _| {}).unwrap());
        }
    });
    assert_eq!(metrics.catalog_reloads.with_label_values(&["ok"]).get(), 8);
}
