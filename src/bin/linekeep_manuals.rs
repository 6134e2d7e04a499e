//! Writes the man pages and shell completions; for those who build linekeep, and in no package.

fn main() -> std::process::ExitCode {
    linekeep::command::manuals::main()
}
