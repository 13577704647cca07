//! What an environment can do and may do, decided before anything starts.

use super::environments::{Allow, Kind};
use super::load::Project;
use crate::diagnostic::Problem;
use crate::environment::{Capability, FaultKind, Needs};
use crate::plan::Plan;
use crate::step::Facts;

/// Why an environment cannot or may not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: &'static str,
    /// What is refused, and why.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Holds a plan's needs against the environment.
///
/// # Errors
/// A problem for each need that is refused, at the line of the step that has it.
pub fn permit(plan: &Plan, project: &Project) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    plan.walk(&mut |step| {
        let refusals = refusals(&step.needs, project).into_iter();
        for refusal in refusals.chain(falsified(step.facts.judges, project)).chain(out_of_reach(&step.facts, project)) {
            problems.push(refusal.problem().at(step.origin.key_place("")));
        }
    });
    if let Some(refusal) = falsified(plan.envelope.guarantee.is_some(), project) {
        problems.push(refusal.problem().at(plan.origin.key_place("/guarantee")));
    }
    if let Ok(needs) = plan.envelope.needs.as_ref().map_or(Ok(Needs::default()), |needs| needs.resolve()) {
        for refusal in refusals(&needs, project) {
            problems.push(refusal.problem().at(plan.origin.key_place("/needs")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// A mock cluster drops messages silently and knows no idempotence: whatever is judged there, the verdict could be wrong.
fn falsified(judges: bool, project: &Project) -> Option<Refusal> {
    (judges && matches!(project.kind, Kind::Mock(_))).then(|| Refusal {
        code: "mock-cannot-judge",
        message: format!("`{}` is a mock cluster: nothing can be judged on it", project.name),
        help: Some("run it with --env local".to_owned()),
    })
}

/// On a local environment only brokers and controllers have kscen's proxy in front of them.
fn out_of_reach(facts: &Facts, project: &Project) -> Option<Refusal> {
    let service = facts.disturbs.as_deref().filter(|service| ["connect", "postgres"].contains(service))?;
    let of_network = matches!(facts.fault, Some(FaultKind::Cut | FaultKind::Shape));
    (of_network && matches!(project.kind, Kind::Local(_))).then(|| Refusal {
        code: "cannot-reach-network",
        message: format!(
            "`{}` is local: the network is disturbed by proxies, which brokers and controllers have, not {service}",
            project.name
        ),
        help: Some("disturb the broker's connections instead; a `cut` is possible with --env docker".to_owned()),
    })
}

impl Refusal {
    fn problem(&self) -> Problem {
        let problem = Problem::new(self.code, self.message.clone());
        match &self.help {
            Some(help) => problem.help(help.clone()),
            None => problem,
        }
    }
}

fn refusals(needs: &Needs, project: &Project) -> Vec<Refusal> {
    let mut found: Vec<Refusal> =
        needs.capabilities.iter().filter_map(|capability| refused(*capability, project)).collect();
    for service in &needs.services {
        let missing = match (service.as_str(), &project.kind) {
            ("kafka-ui", Kind::Local(_)) => true,
            (_, Kind::Local(_)) => false,
            ("connect", _) => project.entry.connect.is_none(),
            ("postgres", _) => project.entry.postgres.is_none(),
            ("kafka-ui", _) => project.entry.kafka_ui.is_none(),
            _ => false,
        };
        if missing {
            let help = match project.kind {
                Kind::Local(_) => "run it with --env docker".to_owned(),
                _ => format!("add `{}: {{ url: … }}` to it", service.replace('-', "_")),
            };
            found.push(Refusal {
                code: "missing-service",
                message: format!("the environment `{}` has no {service}", project.name),
                help: Some(help),
            });
        }
    }
    if matches!(project.kind, Kind::Local(_)) && needs.brokers > 3 {
        found.push(Refusal {
            code: "too-many-brokers",
            message: format!("`local` runs 1 to 3 brokers, not {}", needs.brokers),
            help: None,
        });
    }
    if !matches!(project.kind, Kind::Local(_)) && needs.log_dir.is_some() {
        found.push(Refusal {
            code: "cannot-limit-disk",
            message: format!(
                "only `local` environments can limit the size of the log directory, and `{}` is {}",
                project.name,
                project.kind.plain()
            ),
            help: Some("run it with --env local".to_owned()),
        });
    }
    found
}

fn refused(capability: Capability, project: &Project) -> Option<Refusal> {
    let name = &project.name;
    let granted = |allow: Allow| project.entry.allow.contains(&allow);
    match &project.kind {
        Kind::Local(_) => None,
        Kind::Mock(_) => (capability != Capability::Produce && capability != Capability::Usage).then(|| Refusal {
            code: "cannot-on-mock",
            message: format!("`{name}` is a mock cluster, which has no {capability}"),
            help: Some("run it with --env local".to_owned()),
        }),
        Kind::Docker(_) => (capability == Capability::NetworkShape).then(|| Refusal {
            code: "cannot-shape-network",
            message: format!("`{name}` is docker, which can cut a service off from everyone, but not delay, throttle or reset its connections, nor cut one direction or other brokers only"),
            help: Some("run it with --env local".to_owned()),
        }),
        Kind::Remote => {
            let needed = match capability {
                Capability::Produce => Allow::Produce,
                Capability::Topics => Allow::Topics,
                Capability::Delete => Allow::Delete,
                Capability::Usage => return None,
                Capability::Faults
                | Capability::Wipe
                | Capability::NetworkCut
                | Capability::NetworkShape
                | Capability::Logs => {
                    return Some(Refusal {
                        code: "cannot-on-remote",
                        message: format!("`{name}` is remote: kscen has no hands on its services ({capability})"),
                        help: Some("run it with --env local or --env docker".to_owned()),
                    });
                }
            };
            let word = capability.to_string();
            (!granted(needed)).then(|| Refusal {
                code: "not-allowed",
                message: format!("`{name}` does not allow `{word}`"),
                help: Some(format!("add `{word}` to its `allow`, if that is meant")),
            })
        }
    }
}
