//! What an environment can do and may do, decided before anything starts.

use super::load::Project;
use crate::environment::{Grant, Needs, Refusal, Site};
use crate::kafka::is_of_environment;
use crate::plan::{Plan, PlannedStep};
use crate::text::{Place, Problem, escape, redacted};
use crate::verb::Facts;

/// Holds a plan's needs against what the environment can do and may do.
///
/// # Errors
/// A problem for each need that is refused, at the line of the step that has it.
pub fn permit(plan: &Plan, project: &Project) -> Result<(), Vec<Problem>> {
    let site = project.site();
    let kind = project.kind.as_ref();
    let mut problems = Vec::new();
    plan.walk(&mut |step| {
        let known = problems.len();
        let refusals = kind.refusals(&site, &step.needs).into_iter();
        let judged = step.facts.judges.then(|| kind.falsifies(&site)).flatten();
        for refusal in refusals.chain(judged).chain(out_of_reach(&step.facts, project, &site)) {
            problems.push(problem(refusal, step.origin.key_place("")));
        }
        // What cannot be done there is no question of a grant.
        if problems.len() == known {
            ungranted(plan, step, project, &site, &mut problems);
        }
    });
    if plan.envelope.guarantee.is_some()
        && let Some(refusal) = kind.falsifies(&site)
    {
        problems.push(problem(refusal, plan.origin.key_place("/guarantee")));
    }
    if let Ok(needs) = plan.envelope.needs.as_ref().map_or(Ok(Needs::default()), |needs| needs.resolve()) {
        for refusal in kind.refusals(&site, &needs) {
            problems.push(problem(refusal, plan.origin.key_place("/needs")));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(redacted(problems, &plan.redactor)) }
}

/// Holds a plan only against what the environment grants: for who looks at scenarios without meaning to run them there.
///
/// # Errors
/// A problem for each step that may not do what it says, at its line.
pub fn authorize(plan: &Plan, project: &Project) -> Result<(), Vec<Problem>> {
    let site = project.site();
    let mut problems = Vec::new();
    plan.walk(&mut |step| ungranted(plan, step, project, &site, &mut problems));
    if problems.is_empty() { Ok(()) } else { Err(redacted(problems, &plan.redactor)) }
}

impl Project {
    /// Holds what a command does by itself against what the environment grants.
    ///
    /// # Errors
    /// A problem for each grant that is missing.
    pub fn permits(&self, grants: &[Grant]) -> Result<(), Vec<Problem>> {
        let site = self.site();
        let refused = grants.iter().filter_map(|grant| refusal(*grant, self, &site));
        let problems: Vec<Problem> = refused.map(stated).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// What the step changes, and may not; and what its client would do with the environment's credentials.
fn ungranted(plan: &Plan, step: &PlannedStep, project: &Project, site: &Site, problems: &mut Vec<Problem>) {
    for grant in step.step.changes(&plan.scope) {
        if let Some(refusal) = refusal(grant, project, site) {
            problems.push(problem(refusal, step.origin.key_place("")));
        }
    }
    for (name, grants) in &step.facts.elsewhere {
        elsewhere(step, name, grants, project, problems);
    }
    let connection = site.endpoints.connection();
    for name in step.facts.properties.iter().filter(|name| is_of_environment(name, &connection)) {
        let message = format!(
            "`{name}` cannot be set by a step: every step logs in with the credentials of the environment `{}`",
            site.name
        );
        let place = step.origin.key_place(&format!("/config/{}", escape(name)));
        let help = "set it in `kafka: { config: … }` of an environment in kscen.yaml";
        problems.push(Problem::new("environment-property", message).at(place).help(help));
    }
}

/// What the step changes in another environment, and may not; that there is no such environment.
fn elsewhere(step: &PlannedStep, name: &str, grants: &[Grant], project: &Project, problems: &mut Vec<Problem>) {
    let at = || step.origin.key_place("");
    if name == project.name {
        let message = format!("`{name}` is the environment of the run itself");
        let help = "name another one of kscen.yaml, or run the scenario in another one, with --env";
        problems.push(Problem::new("bad-value", message).at(at()).help(help));
        return;
    }
    match project.sibling(name) {
        Ok(other) => {
            let site = other.site();
            problems.extend(
                grants.iter().filter_map(|grant| refusal(*grant, &other, &site)).map(|found| problem(found, at())),
            );
        }
        // Its own place is in kscen.yaml; what is wrong for the step is that it cannot be had.
        Err(found) => problems.extend(found.into_iter().map(|found| match found.at {
            Some(_) => found,
            None => found.at(at()),
        })),
    }
}

fn refusal(grant: Grant, project: &Project, site: &Site) -> Option<Refusal> {
    if grant == Grant::Run && project.no_run {
        return Some(Refusal {
            code: "no-run",
            message: "this runs a command, and --no-run forbids that".to_owned(),
            help: Some("leave --no-run out for scenarios whose author you trust".to_owned()),
        });
    }
    project.kind.lacks(site, grant).or_else(|| site.without_leave(grant))
}

fn out_of_reach(facts: &Facts, project: &Project, site: &Site) -> Option<Refusal> {
    project.kind.out_of_reach(site, facts.fault?, facts.disturbs.as_deref()?)
}

fn problem(refusal: Refusal, at: Place) -> Problem {
    stated(refusal).at(at)
}

fn stated(refusal: Refusal) -> Problem {
    let problem = Problem::new(refusal.code, refusal.message);
    match refusal.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}
