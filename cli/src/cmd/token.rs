//! The tokens of programs that read from the daemon: created, listed, revoked. A token is printed once, when it is
//! created.

use ao_daemon::{NamedToken, NamedTokens, TokenName};
use serde_json::{Value, json};

use crate::args::{ListArgs, Token as Command};
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::output;
use crate::table::{Cell, Column};

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    // Without a store there is no daemon either.
    context.open()?;
    let tokens = NamedTokens::of(&context.data_dir()?);
    match command {
        Command::Create { read } => create(context, &tokens, &read.parse()?),
        Command::Ls { list: args } => list(context, &tokens, &args),
        Command::Revoke { name } => revoke(context, &tokens, &name.parse()?),
    }
}

fn create(context: &Context, tokens: &NamedTokens, name: &TokenName) -> Result<()> {
    let token = tokens.create(name)?;
    if context.is_json {
        let created = NamedToken { name: name.clone(), created_at: ao_store::Timestamp::now() };
        let mut data = document(&created);
        data["token"] = token.into();
        return output::document("token.create", &data);
    }
    context.say(&format!("token {name} created; it is not shown again"));
    output::line(&token)
}

fn list(context: &Context, tokens: &NamedTokens, args: &ListArgs) -> Result<()> {
    type Of = Column<'static, NamedToken>;
    Listing {
        kind: "token.list",
        columns: vec![
            Of::new("name", |it| Cell::text(it.name.as_str())),
            Of::new("scope", |_| Cell::text("read")),
            Of::new("created", |it| Cell::age(it.created_at)),
        ],
        id: &|token: &NamedToken| token.name.to_string(),
        document: &document,
        empty: "no tokens yet; create one: `ao-store token create --read NAME`",
    }
    .print(context, args, tokens.list()?)
}

fn revoke(context: &Context, tokens: &NamedTokens, name: &TokenName) -> Result<()> {
    tokens.revoke(name)?;
    if context.is_json {
        let data = json!({"name": name.as_str(), "deleted": true});
        return output::document("token.revoke", &data);
    }
    context.say(&format!("token {name} revoked"));
    Ok(())
}

/// A token as in docs/json.md.
fn document(token: &NamedToken) -> Value {
    json!({
        "name": token.name.as_str(),
        "scope": "read",
        "created_at": ao_daemon::document::time(token.created_at),
    })
}
