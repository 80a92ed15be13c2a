//! The catalog's files: read, resolved, swapped in, kept as the last good ones, watched. Must never know what a model is.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use secrecy::SecretString;

use crate::api::{ReloadRefused, Reloaded, State};
use crate::catalog::{self, Catalog, DemoAddresses, Environment, SourceFile, Trees};
use crate::config;
use crate::pricing::{PriceRow, PriceRowId};
use crate::telemetry::Metrics;

/// Largest file of a catalog.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// All files of a catalog together.
const TREE_BYTES_MAX: u64 = 64 << 20;
const FILES_MAX: usize = 2000;
/// Two readings in a row must be the same; so many are tried.
const READINGS_MAX: usize = 10;
/// Between readings that differ.
const READING_PAUSE: Duration = Duration::from_millis(20);
/// So long must files be left alone before they are read.
const QUIET: Duration = Duration::from_millis(200);
/// Files that never come to rest are read after this all the same.
const UNREST_MAX: Duration = Duration::from_secs(2);
/// Most changes of one reload that are logged one by one.
const LOGGED_CHANGES_MAX: usize = 200;
/// The folder in the data directory, and the file in it that holds the last good sources.
const LAST_GOOD: (&str, &str) = ("catalog.last-good", "sources.json");

/// Where a catalog is read from, and for whom.
#[derive(Debug, Clone)]
pub struct Places {
    pub catalog_dir: PathBuf,
    pub overlay_dir: Option<PathBuf>,
    pub data_dir: PathBuf,
    /// The built-in upstream, in `qingwave demo`.
    pub demo: Option<DemoAddresses>,
}

/// Takes price rows of an owner before a catalog with them takes effect.
pub type Remember<'a> = &'a mut dyn FnMut(&str, &[PriceRow]);

/// Reads and swaps catalogs, one at a time.
#[derive(Debug)]
pub struct Reloader {
    places: Places,
    memory: Mutex<Memory>,
}

/// What a reload remembers of the one before.
#[derive(Debug, Default)]
struct Memory {
    /// Revision of the sources that were kept last.
    kept: Option<Arc<str>>,
    trees: Trees,
}

/// What a gateway starts with.
#[derive(Debug)]
pub struct Boot {
    pub catalog: Catalog,
    /// Why the files were not taken, where the last good ones had to do.
    pub stale: Option<ReloadRefused>,
}

impl Reloader {
    pub fn new(places: Places) -> Reloader {
        Reloader { places, memory: Mutex::default() }
    }

    /// *Blocking.* The first catalog. Broken files are answered with the last good ones, if there are any, and loudly.
    ///
    /// The caller gives the price rows to the ledger, and the catalog to `show`, once there are a ledger and metrics.
    pub fn boot(&self) -> Result<Boot, ReloadRefused> {
        let mut memory = self.memory.lock();
        let Memory { kept, trees } = &mut *memory;
        let refused = match self.load(trees) {
            Ok((catalog, sources)) => {
                self.keep(kept, &catalog, &sources);
                return Ok(Boot { catalog, stale: None });
            }
            Err(refused) => refused,
        };
        log_refusal(&refused);
        let last_good = self.last_good().and_then(|sources| self.compile(&sources, trees).ok());
        let Some(catalog) = last_good else { return Err(refused) };
        tracing::error!(rev = %catalog.rev, "THE CATALOG'S FILES ARE BROKEN: serving the last good catalog instead");
        Ok(Boot { catalog, stale: Some(refused) })
    }

    /// *Blocking.* Reads the files again and swaps the catalog in: what `State::reload` calls.
    pub fn reload(&self, state: &State, force: bool) -> Result<Reloaded, ReloadRefused> {
        let mut remember = |owner: &str, rows: &[PriceRow]| state.ledger.remember_price_rows(owner, rows);
        self.reload_into(&state.catalog, &state.metrics, force, &mut remember)
    }

    /// `reload`, over the parts of the state that it touches. Any refusal leaves the current catalog in force.
    pub fn reload_into(
        &self,
        current: &ArcSwap<Catalog>,
        metrics: &Metrics,
        force: bool,
        remember: Remember<'_>,
    ) -> Result<Reloaded, ReloadRefused> {
        // Held to the end: reloads are serial, and the newest reading wins.
        let mut memory = self.memory.lock();
        let Memory { kept, trees } = &mut *memory;
        let outcome = self.load(trees).and_then(|(next, sources)| {
            let next = Arc::new(next);
            let reloaded = swap(current, metrics, next.clone(), force, remember)?;
            self.keep(kept, &next, &sources);
            Ok(reloaded)
        });
        let label = if outcome.is_ok() { "ok" } else { "refused" };
        metrics.catalog_reloads.with_label_values(&[label]).inc();
        match &outcome {
            Ok(reloaded) => log_changes(reloaded),
            Err(refused) => log_refusal(refused),
        }
        outcome
    }

    /// *Blocking.* Reads and compiles the files, and changes nothing: what `qingwave check` calls.
    pub fn check(&self) -> Result<Catalog, ReloadRefused> {
        self.load(&mut Trees::default()).map(|(catalog, _)| catalog)
    }

    fn load(&self, trees: &mut Trees) -> Result<(Catalog, Vec<SourceFile>), ReloadRefused> {
        let sources = self.read_settled()?;
        Ok((self.compile(&sources, trees)?, sources))
    }

    fn compile(&self, sources: &[SourceFile], trees: &mut Trees) -> Result<Catalog, ReloadRefused> {
        let environment = Environment { secret: &resolve_secret, demo: self.places.demo };
        catalog::compile_again(sources, &environment, trees).map_err(ReloadRefused::Broken)
    }

    /// Reads the tree until two readings agree, so that files that are being written are not taken half.
    fn read_settled(&self) -> Result<Vec<SourceFile>, ReloadRefused> {
        let Places { catalog_dir, overlay_dir, .. } = &self.places;
        let read = || read_sources(catalog_dir, overlay_dir.as_deref()).map_err(ReloadRefused::Unreadable);
        let mut last = read()?;
        for _ in 1..READINGS_MAX {
            let again = read()?;
            if same(&last, &again) {
                return Ok(again);
            }
            last = again;
            std::thread::sleep(READING_PAUSE);
        }
        Err(ReloadRefused::Unreadable("the catalog's files change while they are read".to_owned()))
    }

    /// Keeps sources that took effect for a start with a broken tree. A failure is logged: the catalog serves all the same.
    fn keep(&self, kept: &mut Option<Arc<str>>, catalog: &Catalog, sources: &[SourceFile]) {
        if kept.as_ref() == Some(&catalog.rev) {
            return;
        }
        match write_last_good(&self.places.data_dir, sources) {
            Ok(()) => *kept = Some(catalog.rev.clone()),
            Err(error) => tracing::error!(%error, "the last good catalog cannot be kept"),
        }
    }

    fn last_good(&self) -> Option<Vec<SourceFile>> {
        let path = self.places.data_dir.join(LAST_GOOD.0).join(LAST_GOOD.1);
        // JSON writes a byte of text as up to six.
        let text = read_bounded(&path, 6 * TREE_BYTES_MAX).ok()?;
        match serde_json::from_str::<Vec<KeptFile>>(&text) {
            Ok(files) => Some(files.into_iter().map(KeptFile::into_source).collect()),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the last good catalog cannot be read");
                None
            }
        }
    }
}

/// Swaps a compiled catalog in, unless it changes too much. The ledger knows its price rows before any call can use them.
fn swap(
    current: &ArcSwap<Catalog>,
    metrics: &Metrics,
    next: Arc<Catalog>,
    force: bool,
    remember: Remember<'_>,
) -> Result<Reloaded, ReloadRefused> {
    let old = current.load_full();
    let reasons = catalog::needs_force(&old, &next);
    if !reasons.is_empty() && !force {
        return Err(ReloadRefused::NeedsForce(reasons));
    }
    let known: HashSet<PriceRowId> = old.price_rows().flat_map(|(_, rows)| rows).map(|row| row.id).collect();
    for (owner, rows) in next.price_rows().filter(|(_, rows)| rows.iter().any(|row| !known.contains(&row.id))) {
        remember(owner, rows);
    }
    let reloaded = Reloaded {
        rev: next.rev.clone(),
        models: next.models().len(),
        channels: next.channels().count(),
        changes: catalog::diff(&old, &next),
    };
    current.store(next.clone());
    show(&next, metrics);
    Ok(reloaded)
}

/// Everything that is wrong, a line each, for a terminal.
pub fn explain(refused: &ReloadRefused) -> String {
    match refused {
        ReloadRefused::Broken(problems) => problems
            .iter()
            .map(|p| format!("{}:{}:{}: {}", p.path, p.line, p.column, p.message))
            .collect::<Vec<_>>()
            .join("\n"),
        ReloadRefused::NeedsForce(reasons) => reasons.join("\n"),
        ReloadRefused::Unreadable(problem) => problem.clone(),
    }
}

/// Sets the gauges that describe a catalog.
pub fn show(catalog: &Catalog, metrics: &Metrics) {
    metrics.catalog_models.set(i64::try_from(catalog.models().len()).unwrap_or(i64::MAX));
    metrics.channel_states(catalog.channels().map(|channel| (&*channel.id, channel.state.level())));
}

fn log_changes(reloaded: &Reloaded) {
    let changes = reloaded.changes.len();
    tracing::info!(rev = %reloaded.rev, models = reloaded.models, channels = reloaded.channels, changes, "catalog reloaded");
    for change in reloaded.changes.iter().take(LOGGED_CHANGES_MAX) {
        tracing::info!(rev = %reloaded.rev, %change, "catalog changed");
    }
}

fn log_refusal(refused: &ReloadRefused) {
    match refused {
        ReloadRefused::Broken(problems) => {
            for problem in problems {
                tracing::error!(%problem, "catalog refused");
            }
        }
        ReloadRefused::NeedsForce(reasons) => {
            for reason in reasons {
                tracing::error!(%reason, "catalog refused without force");
            }
        }
        ReloadRefused::Unreadable(error) => tracing::error!(%error, "catalog refused"),
    }
}

/// Reads the base tree and the overlay, each in the order of its paths.
pub fn read_sources(base: &Path, overlay_dir: Option<&Path>) -> Result<Vec<SourceFile>, String> {
    let mut paths = yaml_files(base)?;
    paths.extend(yaml_files(&base.join("models")).or_else(none_if_missing(&base.join("models")))?);
    let inputs = base.join("inputs");
    paths.extend(files_of(&inputs, &["json"]).or_else(none_if_missing(&inputs))?);
    paths.sort();
    let mut overlay = match overlay_dir {
        Some(folder) => yaml_files(folder).or_else(none_if_missing(folder))?,
        None => Vec::new(),
    };
    overlay.sort();
    if paths.len() + overlay.len() > FILES_MAX {
        return Err(format!("the catalog has more than {FILES_MAX} files"));
    }
    let mut left = TREE_BYTES_MAX;
    let mut sources = Vec::with_capacity(paths.len() + overlay.len());
    for (path, overlay) in paths.iter().map(|path| (path, false)).chain(overlay.iter().map(|path| (path, true))) {
        let text = read_bounded(path, FILE_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
        left = left
            .checked_sub(text.len() as u64)
            .ok_or_else(|| format!("the catalog's files have more than {TREE_BYTES_MAX} bytes together"))?;
        sources.push(SourceFile { path: path.display().to_string(), text, overlay });
    }
    Ok(sources)
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    files_of(folder, &["yaml", "yml"])
}

/// The files of a folder by extension, through links; hidden ones (editors, mounted secrets) are left out.
fn files_of(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let wanted = path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e));
        if wanted && !hidden && path.is_file() {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(format!("{}: more than {FILES_MAX} files", folder.display()));
        }
    }
    Ok(paths)
}

/// A folder that need not be there.
fn none_if_missing(folder: &Path) -> impl FnOnce(String) -> Result<Vec<PathBuf>, String> {
    let missing = !folder.exists();
    move |error| if missing { Ok(Vec::new()) } else { Err(error) }
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if read as u64 > bytes_max {
        return Err(io::Error::other(format!("has more than {bytes_max} bytes")));
    }
    Ok(text)
}

fn same(a: &[SourceFile], b: &[SourceFile]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.path == b.path && a.text == b.text && a.overlay == b.overlay)
}

/// `env:NAME` or `file:path` (relative to the working directory). `None` = not configured.
pub fn resolve_secret(reference: &str) -> Option<SecretString> {
    config::resolve(reference).map_err(|problem| tracing::debug!(problem, "a provider is dormant")).ok()
}

#[derive(serde::Serialize, serde::Deserialize)]
struct KeptFile {
    path: String,
    text: String,
    overlay: bool,
}

impl KeptFile {
    fn into_source(self) -> SourceFile {
        SourceFile { path: self.path, text: self.text, overlay: self.overlay }
    }
}

/// Whole or not at all: written beside, then renamed.
fn write_last_good(data_dir: &Path, sources: &[SourceFile]) -> io::Result<()> {
    let folder = data_dir.join(LAST_GOOD.0);
    fs::create_dir_all(&folder)?;
    let kept = |s: &SourceFile| KeptFile { path: s.path.clone(), text: s.text.clone(), overlay: s.overlay };
    let text = serde_json::to_vec(&sources.iter().map(kept).collect::<Vec<_>>())?;
    let beside = folder.join("sources.json.new");
    let mut file = File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(LAST_GOOD.1))
}

/// A watch on folders; dropping it ends its thread.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The folders to watch: those that exist.
pub fn folders(catalog_dir: &Path, overlay_dir: Option<&Path>) -> Vec<PathBuf> {
    std::iter::once(catalog_dir).chain(overlay_dir).filter(|folder| folder.is_dir()).map(PathBuf::from).collect()
}

/// Calls `on_change` in a thread of its own, each time that files in the folders have changed and come to rest.
pub fn watch(folders: &[PathBuf], on_change: impl FnMut() + Send + 'static) -> notify::Result<Watch> {
    // One place is enough: a change that finds it taken is told by the one before it.
    let (changed, changes) = sync_channel::<()>(1);
    let mut watcher = notify::recommended_watcher(move |event| tell(&event, &changed))?;
    for folder in folders {
        watcher.watch(folder, RecursiveMode::Recursive)?;
    }
    let stopping = Arc::new(AtomicBool::new(false));
    let stop = stopping.clone();
    let thread = std::thread::Builder::new()
        .name("catalog-watch".to_owned())
        .spawn(move || wait_for_changes(&changes, &stop, on_change))
        .map_err(notify::Error::io)?;
    Ok(Watch { watcher: Some(watcher), stopping, thread: Some(thread) })
}

fn tell(event: &notify::Result<notify::Event>, changed: &SyncSender<()>) {
    match event {
        Ok(event) if is_change(&event.kind) => drop(changed.try_send(())),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the catalog's folders cannot be watched"),
    }
}

/// Reading a file is an event too, and ours must not lead to another reading.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

fn wait_for_changes(changes: &Receiver<()>, stopping: &AtomicBool, mut on_change: impl FnMut()) {
    while changes.recv().is_ok() && !stopping.load(Ordering::Acquire) {
        let first = Instant::now();
        while first.elapsed() < UNREST_MAX {
            match changes.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        if stopping.load(Ordering::Acquire) {
            return;
        }
        on_change();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Its end closes the channel, which wakes the thread.
        drop(self.watcher.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the catalog's watch panicked");
        }
    }
}

#[cfg(test)]
mod tests;
