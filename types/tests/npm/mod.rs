//! Packages of npm whose programs tests run. Needs Node and npm; without them the tests fail.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A package in this repository, with a lock file.
pub(crate) struct Package {
    path: &'static str,
    installed: OnceLock<()>,
}

impl Package {
    /// At a path from the repository's root.
    pub(crate) const fn at(path: &'static str) -> Self {
        Self { path, installed: OnceLock::new() }
    }

    /// Runs a program in the package's directory, once what it needs is installed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.installed.get_or_init(|| self.install());
        self.start(program, arguments)
    }

    /// Installs what the package needs unless that is newer than the lock file.
    fn install(&self) {
        let lock_file = self.directory().join("package-lock.json");
        // Others may run this at the same time; the lock ends with the file's scope.
        let lock = File::open(&lock_file).unwrap();
        lock.lock().unwrap();
        let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
        let installed = changed(&self.directory().join("node_modules/.package-lock.json"));
        if installed.is_ok_and(|installed| installed >= changed(&lock_file).unwrap()) {
            return;
        }
        let output = self.start("npm", &["ci"]);
        assert!(output.status.success(), "npm ci in {} failed:\n{}", self.path, text(&output));
    }

    fn start(&self, program: &str, arguments: &[&str]) -> Output {
        let output = Command::new(program).args(arguments).current_dir(self.directory()).output();
        output.unwrap_or_else(|error| {
            let path = self.path;
            panic!(
                "{program} cannot be run ({error}); {path} needs Node.js 20.19 or later, and npm"
            )
        })
    }

    fn directory(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(self.path)
    }
}

/// All that a program said.
pub(crate) fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
