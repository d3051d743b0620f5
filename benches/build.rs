//! Compiles the baselines in C against the same SQLite, with the same flags, as the program has.
#![expect(clippy::expect_used, reason = "a bench without its baseline has nothing to compare with")]

use std::env;
use std::path::{Path, PathBuf};

const BASELINES: &[&str] = &["read", "write"];

fn main() {
    let variable = |name: &str| PathBuf::from(env::var_os(name).expect("a variable of Cargo"));
    let out = variable("OUT_DIR");
    for name in BASELINES {
        let source = Path::new("baseline").join(name).with_extension("c");
        println!("cargo::rerun-if-changed={}", source.display());
        let mut compile = cc::Build::new().opt_level(2).get_compiler().to_command();
        compile.arg("-I").arg(variable("DEP_SQLITE3_INCLUDE"));
        compile.arg(&source).arg(variable("DEP_SQLITE3_LIB_DIR").join("libsqlite3.a"));
        compile.args(["-lm", "-o"]).arg(out.join(name));
        assert!(compile.status().expect("a C compiler").success(), "{name}.c does not compile");
    }
    println!("cargo::rustc-env=AO_BASELINES={}", out.display());
}
