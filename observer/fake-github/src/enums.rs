//! The enums of GitHub's schema that the world uses.

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = concat!("`", $text, "`.")] $variant),* }

        impl $name {
            /// The name in GitHub's schema.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

words!(
    /// The kind of an account.
    UserKind { User = "User", Bot = "Bot", Mannequin = "Mannequin" }
);

words!(
    /// State of a pull request.
    PrState { Open = "OPEN", Closed = "CLOSED", Merged = "MERGED" }
);

words!(
    /// Outcome of a check run or suite.
    Conclusion {
        Success = "SUCCESS",
        Failure = "FAILURE",
        Neutral = "NEUTRAL",
        Cancelled = "CANCELLED",
        Skipped = "SKIPPED",
        TimedOut = "TIMED_OUT",
        ActionRequired = "ACTION_REQUIRED",
        StartupFailure = "STARTUP_FAILURE",
        Stale = "STALE",
    }
);

words!(
    /// Progress of a check run or suite.
    CheckStatus {
        Requested = "REQUESTED",
        Queued = "QUEUED",
        Pending = "PENDING",
        Waiting = "WAITING",
        InProgress = "IN_PROGRESS",
        Completed = "COMPLETED",
    }
);

words!(
    /// State of a commit status, and of a rollup.
    StatusState {
        Success = "SUCCESS",
        Failure = "FAILURE",
        Error = "ERROR",
        Pending = "PENDING",
        Expected = "EXPECTED",
    }
);

words!(
    /// State of a review.
    ReviewState {
        Approved = "APPROVED",
        ChangesRequested = "CHANGES_REQUESTED",
        Commented = "COMMENTED",
        Dismissed = "DISMISSED",
        Pending = "PENDING",
    }
);

/// Whether the caller may see a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// No, and GitHub denies that it exists.
    Revoked,
    /// No, because the organisation demands single sign-on.
    Forbidden,
}
