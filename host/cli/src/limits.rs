//! The options of the host's limits, made from their declaration.

use batchtask_host::limits::{Limit, Limits};
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

/// The limits of the host, as options of the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct LimitArgs(pub(super) Limits);

impl Args for LimitArgs {
    fn augment_args(command: Command) -> Command {
        let command = command.next_help_heading("Limits");
        Limits::ALL
            .iter()
            .fold(command, |command, limit| command.arg(arg(limit)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn arg(limit: &Limit) -> Arg {
    let range = i64::from(limit.min)..=i64::from(limit.max);
    Arg::new(limit.name)
        .long(limit.name.replace('_', "-"))
        .env(format!("BATCHTASK_{}", limit.name.to_uppercase()))
        .value_name(limit.unit)
        .help(limit.help)
        .default_value(limit.default.to_string())
        .value_parser(value_parser!(u32).range(range))
}

impl FromArgMatches for LimitArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut limits = Self::default();
        limits.update_from_arg_matches(matches)?;
        Ok(limits)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for limit in Limits::ALL {
            if let Some(value) = matches.get_one::<u32>(limit.name) {
                limit.set(&mut self.0, *value);
            }
        }
        Ok(())
    }
}
