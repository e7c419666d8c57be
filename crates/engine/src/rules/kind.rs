//! The table of step kinds: one row says what a kind means to freezes, approvals, history and figures. Whoever asks whether
//! a step deploys, moves something or only waits asks here. The kinds that the engine plans by itself have their rows in
//! `engine/kind.rs`.

use serde_json::Value;

use super::{actions::Action, targets::TargetKind};

/// What a kind of step is.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name as rules and people write it.
    pub name: &'static str,
    /// How it proceeds.
    pub pace: Pace,
    /// What it moves.
    pub moves: Moves,
    /// Its part in a delivery.
    pub part: Part,
    /// Whether it works on the template that a step before it makes.
    pub needs_template: bool,
    /// Whether the run must hold its target from here on.
    pub holds_target: bool,
    /// What it has to do with looking at the target and acting on it.
    pub at_target: AtTarget,
    /// Whether a hotfix may skip it, where the rules say so.
    pub a_hotfix_may_skip: bool,
    /// What later steps may use of it.
    pub outputs: &'static [Output],
}

/// How a step proceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The engine alone decides when it is done; nothing is done outside.
    Gate,
    /// It asks something outside until the answer is yes; nothing proceeds there.
    Question,
    /// It is done when its call returns.
    Call,
    /// It proceeds outside, and is polled and cancelled under its handle.
    Long,
}

/// What a step moves. A freeze, a pin and a veto hold whatever moves something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// Nothing.
    Nothing,
    /// The pins in a repository.
    Pins,
    /// A repository to the next stage, as a part of a set.
    Merge,
    /// A repository back to an earlier content, as a part of a set.
    Back,
    /// The other systems of a release: it lets them merge.
    Others,
    /// What is deployed.
    Deployment,
    /// A target as a whole: into the world, or out of it.
    Target,
}

/// What a step has to do with looking at a target and acting on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtTarget {
    /// Nothing.
    Nothing,
    /// It looks before people are asked, and shows them the plan.
    Shows,
    /// It looks, plans, and has the plan's acts done.
    Plans,
    /// It is an act of a plan.
    Acts,
}

/// A step's part in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// None of these.
    Other,
    /// It packs what is deployed.
    Package,
    /// It builds an image.
    Image,
    /// It makes the template: what people approve.
    Template,
    /// It reports on the template.
    Report,
    /// It asks people.
    Approval,
    /// It checks what was deployed.
    Verification,
}

/// A kind of work that a provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provided {
    /// To deploy a stack.
    Stack,
    /// To run a job.
    Job,
    /// To build an image.
    Image,
}

impl Provided {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stack, Self::Job, Self::Image];

    /// Its name in `tidegate.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Job => "job",
            Self::Image => "image",
        }
    }

    /// What its provider does.
    #[must_use]
    pub const fn work(self) -> &'static str {
        match self {
            Self::Stack => "deploys stacks",
            Self::Job => "runs jobs",
            Self::Image => "builds images",
        }
    }
}

/// A value that later steps may use, as `{{step.name}}`.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// Its JSON type.
    pub of: Shape,
}

/// The JSON type of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// An object: name → text.
    TextByName,
}

impl Kind {
    /// Whether the engine itself decides when it is done, with nothing to do outside.
    #[must_use]
    pub const fn is_gate(&self) -> bool {
        matches!(self.pace, Pace::Gate)
    }

    /// Whether it only waits, for the engine, people or something outside: it works on nothing.
    #[must_use]
    pub const fn only_waits(&self) -> bool {
        matches!(self.pace, Pace::Gate | Pace::Question) && !self.moves_something()
    }

    /// Whether something proceeds outside that is polled and cancelled.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        matches!(self.pace, Pace::Long)
    }

    /// Whether it changes what a stage is at: its repositories, or what is deployed there. What lets the other systems of a
    /// release merge does so too: a member that is held must not be counted on.
    #[must_use]
    pub const fn moves_something(&self) -> bool {
        !matches!(self.moves, Moves::Nothing)
    }

    /// Whether it commits to a repository.
    #[must_use]
    pub const fn writes(&self) -> bool {
        matches!(self.moves, Moves::Pins) || self.moves_part_of_set()
    }

    /// Whether it moves one repository of several that move as one set.
    #[must_use]
    pub const fn moves_part_of_set(&self) -> bool {
        matches!(self.moves, Moves::Merge | Moves::Back)
    }

    /// Whether it deploys.
    #[must_use]
    pub const fn deploys(&self) -> bool {
        matches!(self.moves, Moves::Deployment)
    }

    /// Whether it checks what was deployed.
    #[must_use]
    pub const fn verifies(&self) -> bool {
        matches!(self.part, Part::Verification)
    }

    /// Whether it makes the template, which people approve.
    #[must_use]
    pub const fn makes_template(&self) -> bool {
        matches!(self.part, Part::Template)
    }

    /// Whether it builds an image.
    #[must_use]
    pub const fn builds(&self) -> bool {
        matches!(self.part, Part::Image)
    }

    /// Whether it asks people.
    #[must_use]
    pub const fn asks_people(&self) -> bool {
        matches!(self.part, Part::Approval)
    }

    /// Whether it makes something that people see before they approve a deployment.
    #[must_use]
    pub const fn feeds_deployment(&self) -> bool {
        matches!(self.part, Part::Package | Part::Image | Part::Template | Part::Report)
    }

    /// The output of this name.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&'static Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// The names of its outputs.
    pub fn output_names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.outputs.iter().map(|output| output.name)
    }
}

impl Output {
    /// An output of this name and type.
    #[must_use]
    pub const fn of(name: &'static str, of: Shape) -> Self {
        Self { name, of }
    }

    /// Whether templates may name a value within it.
    #[must_use]
    pub const fn is_object(&self) -> bool {
        matches!(self.of, Shape::TextByName)
    }

    /// Whether a value is of its type.
    #[must_use]
    pub fn fits(&self, value: &Value) -> bool {
        match self.of {
            Shape::Text => value.is_string(),
            Shape::Number => value.is_number(),
            Shape::Flag => value.is_boolean(),
            Shape::Texts => value.as_array().is_some_and(|texts| texts.iter().all(Value::is_string)),
            Shape::TextByName => value.as_object().is_some_and(|texts| texts.values().all(Value::is_string)),
        }
    }
}

impl Action {
    /// The work that a provider does for it, where it deploys to a target of this kind; none where the step does all of it.
    #[must_use]
    pub const fn provided(&self, target: TargetKind) -> Option<Provided> {
        match (self.kind().part, self.kind().moves, target) {
            (Part::Image, _, _) => Some(Provided::Image),
            (_, Moves::Deployment, TargetKind::Stack) => Some(Provided::Stack),
            (_, Moves::Deployment, TargetKind::Job) => Some(Provided::Job),
            _ => None,
        }
    }

    /// Its row of the table. The name is also the step's id unless it has one.
    #[must_use]
    pub const fn kind(&self) -> &'static Kind {
        match self {
            Self::Package(_) => {
                const {
                    &Kind {
                        name: "package",
                        pace: Pace::Call,
                        moves: Moves::Nothing,
                        part: Part::Package,
                        needs_template: false,
                        holds_target: false,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: false,
                        outputs: &[
                            Output::of("tag", Shape::Text),
                            Output::of("uri", Shape::Text),
                            Output::of("sha256", Shape::Text),
                            Output::of("reused", Shape::Flag),
                        ],
                    }
                }
            }
            Self::Commit(_) => {
                const {
                    &Kind {
                        name: "commit",
                        pace: Pace::Call,
                        moves: Moves::Pins,
                        part: Part::Other,
                        needs_template: false,
                        holds_target: false,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: false,
                        outputs: &[Output::of("commit", Shape::Text), Output::of("changed", Shape::Flag)],
                    }
                }
            }
            Self::Bake(_) => {
                const {
                    &Kind {
                        name: "bake",
                        pace: Pace::Long,
                        moves: Moves::Nothing,
                        part: Part::Image,
                        needs_template: false,
                        holds_target: false,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: false,
                        outputs: &[
                            Output::of("amis", Shape::TextByName),
                            Output::of("ami", Shape::Text),
                            Output::of("digest", Shape::Text),
                            Output::of("reused", Shape::Flag),
                        ],
                    }
                }
            }
            Self::Synth(_) => {
                const {
                    &Kind {
                        name: "synth",
                        pace: Pace::Call,
                        moves: Moves::Nothing,
                        part: Part::Template,
                        needs_template: false,
                        holds_target: false,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: false,
                        outputs: &[Output::of("template", Shape::Text), Output::of("template_digest", Shape::Text)],
                    }
                }
            }
            Self::Lint(_) => {
                const {
                    &Kind {
                        name: "lint",
                        pace: Pace::Call,
                        moves: Moves::Nothing,
                        part: Part::Report,
                        needs_template: true,
                        holds_target: false,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: false,
                        outputs: &[
                            Output::of("verdict", Shape::Text),
                            Output::of("errors", Shape::Number),
                            Output::of("warnings", Shape::Number),
                            Output::of("report", Shape::Text),
                            Output::of("report_digest", Shape::Text),
                        ],
                    }
                }
            }
            Self::Approve(_) => {
                const {
                    &Kind {
                        name: "approve",
                        pace: Pace::Gate,
                        moves: Moves::Nothing,
                        part: Part::Approval,
                        needs_template: false,
                        holds_target: false,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: false,
                        outputs: &[Output::of("by", Shape::Texts), Output::of("digest", Shape::Text)],
                    }
                }
            }
            Self::Deploy(_) => {
                const {
                    &Kind {
                        name: "deploy",
                        pace: Pace::Long,
                        moves: Moves::Deployment,
                        part: Part::Other,
                        needs_template: true,
                        holds_target: true,
                        at_target: AtTarget::Plans,
                        a_hotfix_may_skip: false,
                        outputs: &[
                            Output::of("deployment", Shape::Text),
                            Output::of("digest", Shape::Text),
                            Output::of("address", Shape::Text),
                            Output::of("image", Shape::Text),
                            Output::of("outputs", Shape::TextByName),
                        ],
                    }
                }
            }
            Self::Verify(_) => {
                const {
                    &Kind {
                        name: "verify",
                        pace: Pace::Call,
                        moves: Moves::Nothing,
                        part: Part::Verification,
                        needs_template: false,
                        holds_target: true,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: false,
                        outputs: &[Output::of("status", Shape::Number)],
                    }
                }
            }
            Self::Check(_) => {
                const {
                    &Kind {
                        name: "check",
                        pace: Pace::Question,
                        moves: Moves::Nothing,
                        part: Part::Other,
                        needs_template: false,
                        holds_target: false,
                        at_target: AtTarget::Nothing,
                        a_hotfix_may_skip: true,
                        outputs: &[Output::of("answer", Shape::Text)],
                    }
                }
            }
        }
    }
}
