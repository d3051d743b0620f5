//! Retention: which changes are kept, by rules from the command line or the store, and pruning.

use ao_daemon::document::time as view_time;
use ao_store::log::change;
use ao_store::log::retention::{self, Plan, Rules};
use ao_store::{ClockReading, Pruned, Store};
use bytesize::ByteSize;
use serde_json::{Value, json};

use crate::args::{Consent, Prune, Retention as Command, Rules as RulesArgs};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::output;

const DAY_MS: u64 = 24 * 3600 * 1000;

fn rules_of(args: RulesArgs) -> Rules {
    Rules {
        keep_ms: args.keep_days.map(|days| u64::from(days) * DAY_MS),
        keep_events: args.keep_events,
        max_bytes: args.max_bytes.map(|size| size.as_u64()),
    }
}

pub(crate) fn run(context: &Context, command: Command) -> Result<()> {
    let store = context.open()?;
    match command {
        Command::Show => {}
        Command::Off => set(&store, Rules::default())?,
        Command::Set { rules, consent } => {
            let rules = rules_of(rules);
            if rules.is_empty() {
                return Err(Error::Usage(
                    "pass a rule: --keep-days, --keep-events or --max-bytes".to_owned(),
                ));
            }
            if confirm_rules(context, &store, &rules, consent)? == Answer::No {
                return Ok(());
            }
            set(&store, rules)?;
        }
    }
    let (rules, plan) = store.read(|snapshot| {
        let rules = retention::rules(snapshot)?;
        Ok((rules, retention::plan(snapshot, &rules, ClockReading::now())?))
    })?;
    if context.is_json {
        let mut data = view(&plan);
        data["rules"] = view_rules(&rules);
        return output::document("retention.show", &data);
    }
    output::text(&format!("{}\n{}", describe_rules(&rules), describe(&plan)))
}

/// Asks before rules are stored by which changes that exist now are deleted, or which keep none.
fn confirm_rules(
    context: &Context,
    store: &Store,
    rules: &Rules,
    consent: Consent,
) -> Result<Answer> {
    let (plan, until) = store.read(|snapshot| {
        let plan = retention::plan(snapshot, rules, ClockReading::now())?;
        let until = change::time_of(snapshot, plan.wanted)?;
        Ok((plan, until))
    })?;
    if consent.dry_run {
        return show_plan(context, &plan).map(|()| Answer::No);
    }
    // With what is held back now: it is deleted without a question once its holder has moved.
    let changes = plan.wanted.0.abs_diff(plan.log.floor.0);
    let keeps_none = [rules.keep_ms, rules.keep_events, rules.max_bytes].contains(&Some(0));
    let what = match changes {
        0 if keeps_none => "store rules that keep only the changes of the newest commit".to_owned(),
        0 => return Ok(Answer::Yes),
        _ => {
            let at = until.map(|at| format!(" of {}", view_time(at))).unwrap_or_default();
            let last = plan.log.cursor(plan.wanted);
            format!("store rules that delete {changes} changes, up to {last}{at}")
        }
    };
    confirm::ask(context, &what, consent)
}

fn set(store: &Store, rules: Rules) -> Result<()> {
    store.write(cause(), move |tx| retention::set_rules(tx, &rules))?;
    Ok(())
}

/// Shows which changes the rules delete, asks for confirmation, and prunes.
pub(crate) fn prune(context: &Context, args: &Prune) -> Result<()> {
    let (store, was_full) = if args.consent.dry_run {
        (context.open()?, false)
    } else {
        Store::open_releasing_ballast(context.database(), context.options())?
    };
    let mut rules = rules_of(args.rules);
    if rules.is_empty() {
        rules = store.read(retention::rules)?;
    }
    if rules.is_empty() {
        return Err(Error::Usage(
            "pass a rule, --keep-days, --keep-events or --max-bytes, or store one: \
             `ao-store retention set`"
                .to_owned(),
        ));
    }
    if !args.consent.dry_run {
        // A change is deleted only under a block digest: the plan must show what pruning deletes.
        store.seal(&cause())?;
    }
    let plan = store.read(|snapshot| retention::plan(snapshot, &rules, ClockReading::now()))?;
    if args.consent.dry_run {
        return show_plan(context, &plan);
    }
    if plan.events() > 0 {
        context.say(describe(&plan).trim_end());
        let what = format!("delete {} changes", plan.events());
        if confirm::ask(context, &what, args.consent)? == Answer::No {
            return Ok(());
        }
    }
    let mut pruned = store.prune(&cause(), &rules, |_| {})?;
    pruned.used_ballast |= was_full;
    report(context, &pruned)
}

fn show_plan(context: &Context, plan: &Plan) -> Result<()> {
    if context.is_json {
        return output::document("prune.plan", &view(plan));
    }
    output::text(&describe(plan))
}

fn report(context: &Context, pruned: &Pruned) -> Result<()> {
    let events = pruned.floor.0.abs_diff(pruned.plan.log.floor.0);
    let floor = pruned.plan.log.cursor(pruned.floor).to_string();
    if context.is_json {
        return output::document(
            "prune",
            &json!({
                "changes": events,
                "floor": floor,
                "freed_bytes": pruned.freed_bytes,
                "used_ballast": pruned.used_ballast,
                "cut_off": names(&pruned.plan),
            }),
        );
    }
    let freed = ByteSize(pruned.freed_bytes);
    let mut text = format!("{events} changes deleted, floor {floor}, freed {freed}\n");
    if pruned.used_ballast {
        text +=
            "the disk was full and the ballast was used; to reserve it again: `ao-store init`\n";
    }
    output::text(&context.invocation().complete(&text))
}

fn flags(rules: &Rules) -> String {
    let flags = [
        ("--keep-days", rules.keep_ms.map(|keep| keep / DAY_MS)),
        ("--keep-events", rules.keep_events),
        ("--max-bytes", rules.max_bytes),
    ];
    let given = flags.iter().filter_map(|(flag, value)| Some(format!("{flag} {}", (*value)?)));
    given.collect::<Vec<_>>().join(" ")
}

fn describe_rules(rules: &Rules) -> String {
    if rules.is_empty() {
        return "rules      none: every change is kept".to_owned();
    }
    format!("rules      {}", flags(rules))
}

fn describe(plan: &Plan) -> String {
    let cursor = |seq| plan.log.cursor(seq);
    let mut text = match plan.events() {
        0 => "nothing to prune\n".to_owned(),
        changes => format!(
            "to delete  {changes} changes up to {}, {}\n",
            cursor(plan.target),
            ByteSize(plan.bytes)
        ),
    };
    for held in &plan.held {
        text += &format!("held by    {} at {}\n", output::printable(&held.by), cursor(held.seq));
    }
    for name in &plan.cut_off {
        text += &format!("cut off    consumer {name}: its next read fails with CURSOR_EXPIRED\n");
    }
    text
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.cut_off.iter().map(ao_store::ConsumerName::as_str).collect()
}

fn view(plan: &Plan) -> Value {
    let cursor = |seq| plan.log.cursor(seq).to_string();
    let held = plan.held.iter().map(|held| json!({"holder": held.by, "cursor": cursor(held.seq)}));
    json!({
        "changes": plan.events(),
        "bytes": plan.bytes,
        "floor": cursor(plan.log.floor),
        "wanted": cursor(plan.wanted),
        "target": cursor(plan.target),
        "held": held.collect::<Vec<_>>(),
        "cut_off": names(plan),
    })
}

fn view_rules(rules: &Rules) -> Value {
    json!({
        "keep_days": rules.keep_ms.map(|keep| keep / DAY_MS),
        "keep_events": rules.keep_events,
        "max_bytes": rules.max_bytes,
    })
}
