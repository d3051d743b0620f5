//! The end of the program: its exit status, and the error as text or JSON.

use std::io::{self, Write};
use std::process::ExitCode;

use ao_store::Code;
use clap::error::ErrorKind;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::hint;
use crate::invocation::Invocation;
use crate::output::{Ended, printable, printable_lines, say_always, say_json, stdout_error};
use crate::{args, usage};

/// Ends the program.
pub(crate) fn exit(result: Result<Ended>, invocation: &Invocation, is_json: bool) -> ExitCode {
    match result {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(Code::Corrupt.exit_code()),
        Ok(Ended::BySignal(signal)) => ExitCode::from(signal.exit_code()),
        Ok(Ended::Elsewhere(status)) => ExitCode::from(status),
        Err(Error::BrokenPipe) => ExitCode::from(141),
        Err(error) => {
            report(&error, invocation, is_json);
            ExitCode::from(error.exit_code())
        }
    }
}

fn report(error: &Error, invocation: &Invocation, is_json: bool) {
    let hint = hint::of(error, invocation);
    if is_json {
        let mut message = invocation.complete(&error.to_string());
        for cause in error.causes() {
            message = format!("{message}: {cause}");
        }
        let (code, exit) = (error.code(), error.exit_code());
        say_json(&json_error(code, exit, &message, &hint, &error.details()));
        return;
    }
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let what = printable(&invocation.complete(&error.to_string()));
    say_always(&format!("{red}error[{}]{red:#}: {what}", error.code().name()));
    for cause in error.causes() {
        say_always(&format!("  caused by: {}", printable(&cause)));
    }
    say_hint(&printable(&hint));
}

fn say_hint(hint: &str) {
    let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
    say_always(&format!("{cyan}hint{cyan:#}: {hint}"));
}

fn json_error(code: Code, exit: u8, message: &str, hint: &str, details: &Value) -> String {
    json!({"error": {
        "code": code.name(),
        "message": message,
        "hint": hint,
        "details": details,
        "exit_code": exit,
    }})
    .to_string()
}

/// Ends the program when the command line is wrong or asks for help.
pub(crate) fn refused(mut error: clap::Error, is_json: bool) -> ExitCode {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_answer {
        let printed = error.print().and_then(|()| io::stdout().flush());
        let printed = printed.map(|()| Ended::Done).map_err(stdout_error);
        return exit(printed, &Invocation::plain(), is_json);
    }
    let mut root = args::command();
    root.build();
    let hint = usage::explain(&mut error, &root);
    if is_json {
        let text = error.render().to_string();
        let end = ["\n\nUsage:", "\n\nFor more information"].iter();
        let end = end.filter_map(|it| text.find(it)).min().unwrap_or(text.len());
        let what = &text[..end];
        let words: Vec<_> = what.trim_start_matches("error: ").split_whitespace().collect();
        let (code, words) = (Code::Usage, words.join(" "));
        say_json(&json_error(code, code.exit_code(), &words, &hint, &json!({})));
    } else {
        let text = error.render().ansi().to_string();
        // The last paragraph of clap names --help, as the hint does.
        let what = text.rsplit_once("\n\nFor more information").map_or(text.as_str(), |cut| cut.0);
        let what = what.replacen("error:", "error[USAGE]:", 1);
        let plain = anstream::adapter::strip_str(&what).to_string();
        // The colours of clap stay, unless an argument that it quotes could control the terminal.
        let quoted = error.render().to_string();
        if quoted.lines().all(|line| printable(line) == line) {
            say_always(what.trim_end());
        } else {
            say_always(&printable_lines(plain.trim_end()));
        }
        if error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            say_hint(&hint);
        }
    }
    ExitCode::from(Code::Usage.exit_code())
}
