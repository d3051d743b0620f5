//! The machine-readable details of errors.

use serde_json::{Value, json};

use super::Error;

impl Error {
    /// Machine-readable details, a JSON object. Its keys are those of the row images and of
    /// `docs/json.md`; it is empty when the message says everything.
    #[must_use]
    pub fn details(&self) -> Value {
        match self {
            Error::CursorExpired { asked, oldest, head } => json!({
                "asked": asked.to_string(), "oldest": oldest.to_string(), "head": head.to_string(),
            }),
            Error::CursorEpoch { asked, epoch, head } => json!({
                "asked": asked.to_string(), "epoch": epoch.0, "head": head.to_string(),
            }),
            Error::CursorFuture { asked, head } => {
                json!({"asked": asked.to_string(), "head": head.to_string()})
            }
            Error::EventFuture { asked, head } => {
                json!({"asked": asked.to_string(), "head": head.to_string()})
            }
            Error::PrClaimed { owner: session, .. }
            | Error::PrOwnedByOther { owner: session, .. }
            | Error::OrchestratorActive { session, .. } => json!({"session_id": session.as_str()}),
            Error::PathAlreadyRegistered { owner, .. } => json!({"project_id": owner.as_str()}),
            Error::SchemaTooNew { found, known } | Error::SchemaOutdated { found, known } => {
                json!({"found": found, "known": known})
            }
            Error::SchemaDraft(found) => json!({"found": found}),
            Error::LogHole { missing } => json!({"missing": missing.0}),
            Error::SessionBusy { session, verb } => {
                json!({"session_id": session.as_str(), "operation": verb})
            }
            Error::DeliveryKeyUsed(delivery) => json!({"delivery_id": delivery}),
            Error::TurnKeyUsed(turn) => json!({"turn_id": turn}),
            Error::ConversationBusy { conversation, turn } => {
                json!({"conversation_id": conversation, "turn_id": turn})
            }
            Error::TextTooLarge { bytes, limit, .. } => json!({"bytes": bytes, "limit": limit}),
            Error::AdmissionLimit { live, limit, .. } => json!({"live": live, "limit": limit}),
            Error::Busy { waited_ms } => json!({"waited_ms": waited_ms}),
            _ => json!({}),
        }
    }
}
