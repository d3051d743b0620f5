//! Opens the page of a pull request in the browser: that of `BROWSER`, else that of the desktop.

use ao_program::{Environment, start_detached};
use ao_store::PrName;
use ao_store::row::pr;
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// Programs that open an address in the browser of the user.
const OPENERS: [&str; 2] = ["xdg-open", "open"];

pub(super) fn run(context: &Context, name: &PrName, is_printed: bool) -> Result<()> {
    let url = context.open()?.read(|snapshot| pr::require_named(snapshot, name))?.url;
    // Another program may have stored anything.
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(Error::Usage(format!("its URL {url:?} is no http or https address")));
    }
    let opened = if is_printed { None } else { open(context, &url) };
    if context.is_json {
        return output::document("pr.open", &json!({"url": url, "opened_with": opened}));
    }
    match opened {
        Some(program) => context.say(&format!("opened {url} with {program}")),
        None => output::line(&url)?,
    }
    Ok(())
}

/// The program that opened the address; `None` after a message if there is none.
fn open(context: &Context, url: &str) -> Option<String> {
    let environment = Environment::of_process();
    let browsers = environment.get("BROWSER").filter(|text| !text.is_empty());
    let browsers = browsers.map(|text| text.to_string_lossy().into_owned());
    let commands = match &browsers {
        Some(list) => list.split(':').filter_map(|command| words(command, url)).collect(),
        None => OPENERS.map(|name| vec![name.to_owned(), url.to_owned()]).to_vec(),
    };
    let mut failure = "no browser was found; set BROWSER to the name of one".to_owned();
    for command in commands {
        let args: Vec<_> = command[1..].iter().map(String::as_str).collect();
        match start_detached(&command[0], &args, &environment) {
            Ok(()) => return Some(command[0].clone()),
            Err(ao_program::Error::NotOnPath(_)) if browsers.is_none() => {}
            Err(error) => failure = format!("cannot start {}: {error}", command[0]),
        }
    }
    context.say(&output::printable(&failure));
    None
}

/// A command of `BROWSER` as words; `%s` stands for the address, which is the last word otherwise.
fn words(command: &str, url: &str) -> Option<Vec<String>> {
    let mut words = shlex::split(command).filter(|words| !words.is_empty())?;
    if words.iter().skip(1).any(|word| word.contains("%s")) {
        words.iter_mut().skip(1).for_each(|word| *word = word.replace("%s", url));
    } else {
        words.push(url.to_owned());
    }
    Some(words)
}
