//! Where a configuration's files are: the folders that the daemon needs to read or write while it runs. What it is granted
//! at its start is all it ever gets, so a reload is measured against that. Looks at symbolic links, opens nothing.

use super::{Bind, Config, ForwardTo, Mode, Protection};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// What a configuration needs. Folders stand for everything beneath them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Folders to read in.
    pub read: BTreeSet<PathBuf>,
    /// Folders to read, create, write and remove files in.
    pub write: BTreeSet<PathBuf>,
    /// TCP ports to connect to.
    pub ports: BTreeSet<u16>,
    /// What was named, and the folder that it needs; for faults.
    named: Vec<(String, PathBuf)>,
}

impl Places {
    /// The parents of what the configuration names, and that of the configuration file itself. A parent, as a file that is
    /// replaced by rename is another file; of what is not there yet, the nearest folder that is.
    #[must_use]
    pub fn of(config: &Config, file: &Path) -> Places {
        let mut places = Places::default();
        places.reads("the configuration", file);
        for listener in &config.listeners {
            let owner = format!("listener {}", listener.name);
            if let Protection::Tls { mode, .. } = &listener.protection {
                papers(mode).into_iter().for_each(|paper| places.reads(&owner, paper));
            }
            if let Bind::Unix { path, .. } = &listener.bind {
                places.writes(&owner, parent(path));
            }
        }
        for list in &config.datasets {
            list.paths.iter().for_each(|path| places.reads(&format!("list {}", list.name), path));
        }
        if let Some(control) = &config.control {
            places.writes("[control] socket", parent(&control.socket));
        }
        if let Some(folder) = &config.server.state_folder {
            places.writes("[server] state-folder", folder);
        }
        if let Some(trail) = &config.audit.trail {
            places.writes("[audit] trail", &trail.folder);
        }
        for forward in &config.forwards {
            if let ForwardTo::Tcp(peer) = &forward.to {
                places.ports.extend(peer.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()));
            }
        }
        places
    }

    /// One more folder to write in.
    pub fn also_writes(&mut self, file: &Path) {
        self.writes("", parent(file));
    }

    /// What another configuration names that these places do not hold, a sentence each.
    #[must_use]
    pub fn beyond(&self, other: &Places) -> Vec<String> {
        let holds = |needed: &Path| self.read.iter().chain(&self.write).any(|granted| needed.starts_with(granted));
        let outside = other.named.iter().filter(|(_, folder)| !holds(folder));
        outside
            .map(|(what, folder)| {
                format!(
                    "{what}: {} is outside of what the running daemon was granted when it started; this needs a restart",
                    folder.display()
                )
            })
            .collect()
    }

    fn reads(&mut self, owner: &str, path: &Path) {
        let parent = folder_of(path);
        // A folder at the very top is granted by itself: its parent would be everything.
        let folder = if parent == Path::new("/") && path.is_dir() { path } else { parent };
        self.named.push((format!("{owner}: {}", path.display()), folder.to_owned()));
        self.read.extend(with_targets(path, folder));
    }

    fn writes(&mut self, owner: &str, folder: &Path) {
        self.named.push((format!("{owner}: {}", folder.display()), folder.to_owned()));
        self.write.insert(nearest(folder));
    }
}

fn papers(mode: &Mode) -> Vec<&Path> {
    let (keyring, server, trust) = match mode {
        Mode::Psk { keyring } => (Some(keyring), None, None),
        Mode::Certificate { server, trust } => (None, Some(server), Some(trust)),
        Mode::Either { keyring, server, trust } => (Some(keyring), Some(server), Some(trust)),
        Mode::None { server, .. } => (None, Some(server), None),
    };
    let own = server.into_iter().flat_map(|own| [&own.certificate, &own.private_key]);
    let theirs = trust.into_iter().flat_map(|trust| [Some(&trust.client_ca), trust.crl.as_ref()]).flatten();
    keyring.into_iter().chain(own).chain(theirs).map(PathBuf::as_path).collect()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// The folder that a path is looked up in: up to its first wildcard.
fn folder_of(path: &Path) -> &Path {
    let is_pattern = |part: &Path| part.to_string_lossy().contains(['*', '?', '[']);
    path.ancestors().skip(1).find(|folder| !is_pattern(folder)).unwrap_or(Path::new("/"))
}

/// A folder, and where symbolic links on the way lead now: next to the target, so that the link can be set to a sibling.
fn with_targets(path: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![nearest(folder)];
    let mut walked = PathBuf::new();
    for part in path.components() {
        walked.push(part);
        let is_link = matches!(part, Component::Normal(_))
            && std::fs::symlink_metadata(&walked).is_ok_and(|found| found.file_type().is_symlink());
        if let (true, Ok(target)) = (is_link, walked.canonicalize()) {
            found.push(parent(&target).to_owned());
        }
    }
    found
}

fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}
