//! The Compose Specification as a table: which keys there are, what their values look like, how a
//! later file changes an earlier one, and the order in which Docker Compose writes them.
//!
//! One table drives the checks, the merge, the long forms and the canonical order. Source: Compose
//! Specification (compose-spec.io), with the behaviour of Docker Compose 2.40.

mod table;

pub use table::*;

/// What a value may look like, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Anything; kept as it is.
    Any,
    /// A text.
    Text,
    /// True or false, or a text that says so.
    Flag,
    /// A whole number, or a text that holds one.
    Integer,
    /// A number, or a text that holds one.
    Number,
    /// A number of bytes, or a text such as `512m`; becomes decimal digits.
    Size,
    /// A text such as `512m`; becomes decimal digits.
    SizeText,
    /// A duration such as `1m30s`.
    Duration,
    /// A text or a number; becomes a text.
    Scalar,
    /// A file mode: an octal text or a number; becomes an octal text.
    Mode,
    /// A list.
    List(&'static Shape),
    /// A list in which nothing stands twice.
    UniqueList(&'static Shape),
    /// One text or a list of them; becomes a list.
    TextOrList,
    /// Nothing, a command line or its words; becomes words.
    Command,
    /// `KEY: value` or a list of `KEY=value`; becomes a mapping.
    Pairs(Pairs),
    /// A mapping with names of the operator's choice.
    Map(&'static Shape),
    /// Nothing, or a mapping with keys of the specification.
    Object(&'static Object),
    /// Nothing or the other shape.
    Nullable(&'static Shape),
    /// A list of published ports.
    Ports,
    /// A list of mounts.
    Mounts,
    /// A list of devices.
    Devices,
    /// Services that must run first.
    DependsOn,
    /// The networks of a service.
    Networks,
    /// How an image is built.
    Build,
    /// The service that another one starts from.
    Extends,
    /// Files of variables.
    EnvFiles,
    /// Further host names.
    ExtraHosts,
    /// Limits of the kernel.
    Ulimits,
    /// One limit of the kernel: a number, or a soft and a hard one.
    Ulimit,
    /// Secrets or configs that a service gets.
    Grants,
    /// What a health check runs.
    HealthTest,
    /// Graphics cards: `all` or a list.
    Gpus,
    /// How many devices: a number or `all`, which becomes -1.
    Count,
    /// A list of limits of a device's speed.
    Throttles,
    /// A list of models or a mapping of them.
    Models,
    /// True or false, or a mapping with a `name`.
    External,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// What becomes of a key without a value in a [`Shape::Pairs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// It stays without one: the variable of that name is handed on.
    Null,
    /// It becomes the empty text.
    Empty,
    /// It takes the variable of that name, or is left out.
    Resolved,
}

/// How a later file changes what an earlier one says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Mappings by key, lists one after the other, single values replaced.
    Plain,
    /// Replaced whole, by nothing as well.
    Replace,
    /// Both become lists, one after the other.
    Sequence,
    /// Both become mappings, merged by key; list entries get `condition: service_started`.
    DependsOn,
    /// Both become mappings, merged by key.
    Networks,
    /// By key when both have the same driver or one has none; otherwise replaced.
    Logging,
    /// A text is the context; by key.
    Build,
    /// Entries by their subnet.
    IpamConfig,
}

/// When two entries of a list are the same, so that the later one takes the earlier one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// All are kept.
    No,
    /// By the text before `=`.
    Key,
    /// By the container's path.
    Target,
    /// By address, ports and protocol.
    Port,
    /// By the path of the file.
    Path,
    /// By the path under which it is shown, which is this folder and its name by default.
    Grant(&'static str),
}

/// One key of a mapping.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// How a later file changes it.
    pub merge: Merge,
    /// When two entries are the same.
    pub unique: Unique,
    /// Whether `false`, 0 and the empty text are written too.
    pub keep: bool,
}

/// A mapping with keys of the specification, in the order in which they are written.
#[derive(Debug)]
pub struct Object {
    /// The keys.
    pub fields: &'static [Field],
    /// Keys that must be there.
    pub required: &'static [&'static str],
}

impl Object {
    /// The row of a key.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Place of a key in the written order; keys of the operator come last.
    #[must_use]
    pub fn position(&self, name: &str) -> usize {
        let position = self.fields.iter().position(|field| field.name == name);
        position.unwrap_or(self.fields.len())
    }
}

impl Shape {
    /// The shape of the value of a key, when this is a mapping.
    #[must_use]
    pub fn of_key(self, key: &str) -> Option<Self> {
        match self {
            Self::Object(object) => object.field(key).map(|field| field.shape),
            Self::Map(value) => Some(*value),
            Self::Nullable(value) => value.of_key(key),
            Self::Build => BUILD.field(key).map(|field| field.shape),
            Self::DependsOn => Some(Self::Object(&DEPENDENCY)),
            Self::Networks => Some(Self::Object(&ATTACHMENT)),
            Self::Ulimits => Some(Self::Ulimit),
            Self::Ulimit => Some(Self::Integer),
            _ => None,
        }
    }

    /// The row of a key, when this is a mapping with keys of the specification.
    #[must_use]
    pub fn field(self, key: &str) -> Option<&'static Field> {
        match self {
            Self::Object(object) => object.field(key),
            Self::Nullable(value) => value.field(key),
            Self::Build => BUILD.field(key),
            _ => None,
        }
    }

    /// The shape of an item, when this is a list.
    #[must_use]
    pub fn of_item(self) -> Option<Self> {
        match self {
            Self::List(item) | Self::UniqueList(item) => Some(*item),
            Self::Nullable(value) => value.of_item(),
            Self::Ports => Some(Self::Object(&PORT)),
            Self::Mounts => Some(Self::Object(&MOUNT)),
            Self::Devices => Some(Self::Object(&DEVICE)),
            Self::Grants => Some(Self::Object(&GRANT)),
            Self::Gpus => Some(Self::Object(&DEVICE_REQUEST)),
            Self::EnvFiles => Some(Self::Object(&ENV_FILE)),
            _ => None,
        }
    }
}
