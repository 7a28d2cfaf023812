//! The options as flags of the command line.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use super::fault::Place;
use super::options::{self, Kind, PREFIX, Spec, User};
use super::values::Values;

/// The option that names the configuration file.
const CONFIG: &str = "config";

/// The options of a group of commands.
pub(crate) struct Flags<G> {
    /// The configuration file, and where it is named.
    file: Option<(PathBuf, Place)>,
    set: BTreeMap<String, String>,
    group: PhantomData<G>,
}

/// A group of commands that have the same options.
pub(crate) trait Group {
    /// Whether these commands have options of this user.
    fn has(user: User) -> bool;
}

/// `serve` and `check`.
pub(crate) struct HostGroup;
/// The commands that work on a journal.
pub(crate) struct JournalGroup;
/// The commands that ask the admin listener of a receiver.
pub(crate) struct AdminGroup;
/// The commands that send requests to a receiver.
pub(crate) struct ClientGroup;
/// `send`, which plays the platform for a receiver or a broker.
pub(crate) struct SendGroup;
/// The commands that send requests to the platform.
pub(crate) struct PlatformGroup;
/// The commands that send requests to the platform, about a journal.
pub(crate) struct SearchGroup;
/// The commands that send requests to the platform, about a receiver.
pub(crate) struct SetupGroup;

impl Group for HostGroup {
    fn has(user: User) -> bool {
        user.is_host()
    }
}

impl Group for JournalGroup {
    fn has(user: User) -> bool {
        user == User::Journal
    }
}

impl Group for AdminGroup {
    fn has(user: User) -> bool {
        user == User::Admin
    }
}

impl Group for ClientGroup {
    fn has(user: User) -> bool {
        user == User::Client
    }
}

impl Group for SendGroup {
    fn has(user: User) -> bool {
        matches!(user, User::Client | User::Amqp)
    }
}

impl Group for PlatformGroup {
    fn has(user: User) -> bool {
        user == User::Platform
    }
}

impl Group for SearchGroup {
    fn has(user: User) -> bool {
        matches!(user, User::Platform | User::Journal)
    }
}

impl Group for SetupGroup {
    fn has(user: User) -> bool {
        matches!(user, User::Platform | User::Client)
    }
}

impl<G: Group> Flags<G> {
    /// The values of all options, with these flags.
    pub(crate) fn values(&self) -> Values {
        Values::gather(&self.set, self.file.as_ref())
    }

    /// Whether the command line sets an option.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    fn specs() -> impl Iterator<Item = &'static Spec> {
        options::specs().filter(|spec| G::has(spec.user) && !spec.kind.is_secret())
    }
}

/// Whether the command line sets an option.
fn is_set(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::CommandLine)
}

impl<G: Group> Args for Flags<G> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "The configuration file, TOML. Variables override it, and flags override \
                 variables [env: {PREFIX}CONFIG]"
            ));
        Self::specs().fold(command.arg(config), |command, spec| command.arg(arg(spec)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn arg(spec: &'static Spec) -> Arg {
    let variable = options::variable(&spec.name);
    let form = if matches!(spec.kind, Kind::Switch) || spec.value_name == "FILE" {
        String::new()
    } else {
        format!(". Must be {}", spec.form)
    };
    let arg = Arg::new(&*spec.name)
        .long(options::long_flag(&spec.name))
        .help(format!("{}{form} [env: {variable}]", spec.help))
        .help_heading(spec.heading);
    if spec.kind == Kind::Switch {
        return arg.action(ArgAction::SetTrue);
    }
    let arg = arg.value_name(spec.value_name);
    if spec.default.is_empty() {
        arg
    } else {
        arg.default_value(&*spec.default)
    }
}

impl<G: Group> FromArgMatches for Flags<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let flag = matches.get_one::<PathBuf>(CONFIG).cloned();
        let variable = std::env::var_os(options::variable(CONFIG)).map(PathBuf::from);
        let variable = variable.filter(|path| !path.as_os_str().is_empty());
        let variable = variable.map(|path| (path, Place::Variable));
        let mut set = BTreeMap::new();
        for spec in Self::specs().filter(|spec| is_set(matches, &spec.name)) {
            let text = if spec.kind == Kind::Switch {
                Some("true".to_owned())
            } else {
                matches.get_one::<String>(&spec.name).cloned()
            };
            set.extend(text.map(|text| (spec.name.clone(), text)));
        }
        Ok(Self {
            file: flag.map(|path| (path, Place::Flag)).or(variable),
            set,
            group: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
