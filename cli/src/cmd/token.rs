//! The named tokens of programs: created, listed, revoked. One that only reads is for the whole store, one of an
//! organisation is for what that owns. A token is printed once, when it is created.

use ao_daemon::{NamedToken, NamedTokens, TokenName};
use ao_store::turn::org;
use ao_store::{OrgId, Timestamp};
use serde_json::{Value, json};

use crate::args::{ListArgs, OrgToken, Token as Command};
use crate::context::Context;
use crate::error::Result;
use crate::listing::Listing;
use crate::output;
use crate::table::{Cell, Column};

/// The tokens of one kind.
struct Tokens {
    stored: NamedTokens,
    /// The organisation that they are; `None` for those that only read.
    org: Option<OrgId>,
}

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    // Without a store there is no daemon either.
    context.open()?;
    let tokens = Tokens { stored: NamedTokens::of(&context.data_dir()?), org: None };
    match command {
        Command::Create { read } => tokens.create(context, &read.parse()?),
        Command::Ls { list: args } => tokens.list(context, &args),
        Command::Revoke { name } => tokens.revoke(context, &name.parse()?),
    }
}

/// The same for the tokens of an organisation.
pub(super) fn of_org(context: &Context, command: &OrgToken) -> Result<()> {
    let (OrgToken::Create { org, .. } | OrgToken::Revoke { org, .. } | OrgToken::Ls { org, .. }) =
        command;
    let org: OrgId = org.parse()?;
    context.open()?.read(|snapshot| org::require(snapshot, &org))?;
    let stored = NamedTokens::of_org(&context.data_dir()?, &org);
    let tokens = Tokens { stored, org: Some(org) };
    match command {
        OrgToken::Create { name, .. } => tokens.create(context, &name.parse()?),
        OrgToken::Revoke { name, .. } => tokens.revoke(context, &name.parse()?),
        OrgToken::Ls { list: args, .. } => tokens.list(context, args),
    }
}

impl Tokens {
    fn create(&self, context: &Context, name: &TokenName) -> Result<()> {
        let token = self.stored.create(name)?;
        if context.is_json {
            let created = NamedToken { name: name.clone(), created_at: Timestamp::now() };
            let mut data = self.document(&created);
            data["token"] = token.into();
            return output::document("token.create", &data);
        }
        context.say(&format!("token {name} created; it is not shown again"));
        output::line(&token)
    }

    fn list(&self, context: &Context, args: &ListArgs) -> Result<()> {
        type Of<'a> = Column<'a, NamedToken>;
        let empty = match &self.org {
            None => "no tokens yet; create one: `ao-store token create --read NAME`".to_owned(),
            Some(org) => {
                format!("no tokens yet; create one: `ao-store org token create {org} NAME`")
            }
        };
        Listing {
            kind: "token.list",
            columns: vec![
                Of::new("name", |it| Cell::text(it.name.as_str())),
                Of::new("scope", |_| Cell::text(self.scope())),
                Of::new("created", |it| Cell::age(it.created_at)),
            ],
            id: &|token: &NamedToken| token.name.to_string(),
            document: &|token| self.document(token),
            empty: &empty,
        }
        .print(context, args, self.stored.list()?)
    }

    fn revoke(&self, context: &Context, name: &TokenName) -> Result<()> {
        self.stored.revoke(name)?;
        if context.is_json {
            let data = json!({"name": name.as_str(), "deleted": true});
            return output::document("token.revoke", &data);
        }
        context.say(&format!("token {name} revoked"));
        Ok(())
    }

    fn scope(&self) -> &'static str {
        if self.org.is_some() { "org" } else { "read" }
    }

    /// A token as in docs/json.md.
    fn document(&self, token: &NamedToken) -> Value {
        let mut data = json!({
            "name": token.name.as_str(),
            "scope": self.scope(),
            "created_at": ao_daemon::document::time(token.created_at),
        });
        if let Some(org) = &self.org {
            data["org_id"] = org.as_str().into();
        }
        data
    }
}
