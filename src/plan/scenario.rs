//! From a file to the plans of its cells.

use super::asked;
use super::bindings::{Bindings, MOST_PROBLEMS};
use super::expand::{Expander, Frame, check_steps};
use super::gate::{Baselines, Comparing};
use super::hidden::{self, Hidden};
use super::include::Includes;
use super::matrix::{self, Cell};
use super::planned::PlannedStep;
use super::timeout;
use crate::compare::Gate;
use crate::environment::Needs;
use crate::ground::input::Fence;
use crate::record::{Record, Section};
use crate::scenario::interpolate::Budget;
use crate::scenario::{Envelope, Guarantee, NeedsClause};
use crate::text::{Located, Origin, Problem, Redactor, Shelf, SourceText, did_you_mean, redacted, withheld};
use crate::validate::{Findings, Language};
use crate::verb::Scope;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock};

/// What the command line and the environment bring to a plan.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Variables by precedence, strongest first: `--var`, `--vars-file`, `KSCEN_VAR_*`, the environment's.
    pub vars: Vec<Map<String, Value>>,
    /// Seed of every random choice; chosen where absent.
    pub seed: Option<u64>,
    /// Whether the files that a scenario names may lie outside the project.
    pub allow_outside: bool,
    /// The folder that holds the project.
    pub project: Option<PathBuf>,
    /// What was read already.
    pub shelf: Shelf,
    /// Whether secrets have to be set, and are used: where the scenario is only looked at, a word stands for each.
    pub need_secrets: bool,
    /// Hides the environment's credentials.
    pub credentials: Redactor,
    /// Whether `compare:` is left aside: a scenario has to run before its first baseline exists.
    pub no_compare: bool,
}

/// A scenario for one cell of its matrix, ready to run.
pub struct Plan {
    /// The scenario's file as the user named it.
    pub file: PathBuf,
    /// The document's top level.
    pub envelope: Arc<Envelope>,
    /// The cell.
    pub cell: Cell,
    /// The fixed values.
    pub bindings: Arc<Bindings>,
    /// Steps that prepare.
    pub setup: Vec<PlannedStep>,
    /// The scenario itself.
    pub steps: Vec<PlannedStep>,
    /// Steps that always run.
    pub finally: Vec<PlannedStep>,
    /// All steps by id.
    pub scope: Scope,
    /// What all steps and the scenario need.
    pub needs: Needs,
    /// What the run is compared with.
    pub gate: Option<Gate>,
    /// Where `needs` stands, for messages.
    pub origin: Origin,
    /// Hides the scenario's secrets and the environment's credentials.
    pub redactor: Arc<Redactor>,
    /// A stored run of it that goes on in this one, where one was named.
    pub former: Option<Arc<Record>>,
}

impl Plan {
    /// The scenario's name, with its cell where it has a matrix.
    pub fn title(&self) -> String {
        let name = one_line(&self.envelope.name);
        if self.cell.is_empty() { name } else { format!("{name} [{}]", one_line(&matrix::label(&self.cell))) }
    }

    /// The file, with the cell: the name in JUnit reports and summaries.
    pub fn label(&self) -> String {
        if self.cell.is_empty() {
            self.file.display().to_string()
        } else {
            format!("{} [{}]", self.file.display(), one_line(&matrix::label(&self.cell)))
        }
    }

    /// The scenario's guarantee.
    pub fn guarantee(&self) -> Option<Guarantee> {
        self.envelope.guarantee
    }

    /// Every step, nested ones included, in order.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a PlannedStep)) {
        for step in self.setup.iter().chain(&self.steps).chain(&self.finally) {
            step.walk(visit);
        }
    }

    /// Whether a step goes on until somebody asks it to end.
    pub fn soaks(&self) -> bool {
        let mut soaks = false;
        self.walk(&mut |step| soaks |= step.facts.soaks);
        soaks
    }

    /// The texts that were read, without secrets: what places in the record refer to.
    pub fn sources(&self) -> Vec<Arc<SourceText>> {
        let mut sources: Vec<Arc<SourceText>> = vec![Arc::clone(&self.origin.document.source)];
        self.walk(&mut |step| {
            let source = &step.origin.document.source;
            if !sources.iter().any(|known| Arc::ptr_eq(known, source)) {
                sources.push(Arc::clone(source));
            }
        });
        sources.iter().map(|source| source.with(&|text| self.redactor.blanked(text))).collect()
    }
}

/// What stands in a line must not begin another one.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Most steps that all cells of a matrix may have together.
const MAX_PLANNED: usize = 20_000;

/// Plans a file: one plan for each cell of its matrix.
///
/// # Errors
/// All problems of the file at once, sorted by place. Nothing was started, and nothing outside the file system touched.
pub fn plans(file: &Path, language: &'static Language, options: &PlanOptions) -> Result<Vec<Plan>, Vec<Problem>> {
    let mut document = options.shelf.read(file)?;
    document.fence = if options.allow_outside { Fence::none() } else { Fence::of(file, options.project.as_deref()) };
    let document = Arc::new(document);
    let mut findings = language.scenarios().check(&document);
    let mut problems = std::mem::take(&mut findings.problems);
    let mut shared = Shared::new(&document, language, options);
    let plans = plan_cells(file, &document, &Arc::new(findings), options, &mut shared, &mut problems);
    if !problems.is_empty() {
        tidy(&mut problems);
        // Every text that is shown is looked through once, for what is secret in any cell.
        let redactor = shared.hidden.all(&document, options);
        return Err(redacted(withheld(problems), &redactor));
    }
    Ok(plans)
}

/// What all cells of a matrix have in common.
struct Shared {
    includes: Includes,
    baselines: Baselines,
    hidden: Hidden,
}

impl Shared {
    fn new(document: &Located, language: &'static Language, options: &PlanOptions) -> Self {
        let includes = Includes::new(document.fence.clone(), language, options.shelf.clone());
        Self { includes, baselines: Baselines::default(), hidden: Hidden::default() }
    }
}

/// Sorts problems by place and drops repetitions: every cell of a matrix finds the same ones.
fn tidy(problems: &mut Vec<Problem>) {
    problems.sort_by(Problem::by_place);
    let mut seen = std::collections::BTreeSet::new();
    problems.retain(|problem| seen.insert(problem.to_string()));
}

fn plan_cells(
    file: &Path,
    document: &Arc<Located>,
    findings: &Arc<Findings>,
    options: &PlanOptions,
    shared: &mut Shared,
    problems: &mut Vec<Problem>,
) -> Vec<Plan> {
    if !document.value.is_object() {
        return Vec::new();
    }
    let root = Origin::root(Arc::clone(document));
    let empty = Map::new();
    let matrix = document.value.get("matrix").and_then(Value::as_object).unwrap_or(&empty);
    hidden::refuse_as_axis(matrix, &root, problems);
    let cells = matrix::cells(matrix, &root.key("matrix"), problems);
    let envelope: Option<Arc<Envelope>> = serde_json::from_value(document.value.clone()).ok().map(Arc::new);
    let mut plans = Vec::new();
    let mut planned = 0;
    for cell in cells {
        let Some(plan) = plan_cell(file, &root, envelope.clone(), cell, findings, options, shared, problems) else {
            // What stops one cell from being planned stops the others.
            break;
        };
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
        planned += plan.scope.count();
        plans.push(plan);
        if planned > MAX_PLANNED {
            let message = format!("all cells of the matrix together make more than {MAX_PLANNED} steps");
            problems
                .push(Problem::new("too-many-steps", message).at(root.key_place("/matrix")).help("make it smaller"));
            break;
        }
    }
    let redactor = Arc::new(shared.hidden.redactor(options));
    for plan in &mut plans {
        plan.redactor = Arc::clone(&redactor);
        [&plan.setup, &plan.steps, &plan.finally]
            .into_iter()
            .for_each(|steps| hidden::refuse_in_ids(steps, &redactor, problems));
    }
    plans
}

#[allow(clippy::too_many_arguments, reason = "each is a different thing, used once")]
fn plan_cell(
    file: &Path,
    root: &Origin,
    envelope: Option<Arc<Envelope>>,
    cell: Cell,
    findings: &Arc<Findings>,
    options: &PlanOptions,
    shared: &mut Shared,
    problems: &mut Vec<Problem>,
) -> Option<Plan> {
    let document = &root.document.value;
    let bindings = Arc::new(bind(root, &cell, &shared.includes.budget, options, problems));
    if !shared.hidden.add(&root.document, &bindings, options) {
        let (values, kib) = (hidden::MOST_VALUES, hidden::MOST_BYTES >> 10);
        let message = format!("the secrets are more than {values} values or {kib} KiB in all cells together");
        problems.push(Problem::new("too-many-values", message).at(root.key_place("/secrets")).help("declare fewer"));
        return None;
    }
    let mut expander = Expander::new(&mut shared.includes, problems);
    let mut sections = [Section::Setup, Section::Steps, Section::Finally].map(|section| {
        let frame = Frame { section, bindings: Arc::clone(&bindings), findings: Arc::clone(findings), nesting: 0 };
        let list = document.get(section.key()).unwrap_or(&Value::Null);
        expander.list(list, &root.key(section.key()), &frame)
    });
    let scope = std::mem::take(&mut expander.scope);
    let guarantee = envelope.as_ref().and_then(|envelope| envelope.guarantee);
    timeout::follow(&mut sections);
    let hidden = &shared.hidden;
    let is_secret = |text: &str| hidden.is_in(text) || matches!(options.credentials.text(text), Cow::Owned(_));
    for steps in &sections {
        check_steps(steps, &scope, guarantee, &is_secret, problems);
    }
    if envelope.as_ref().is_some_and(|envelope| envelope.checks.is_some()) {
        checked_all_the_same(document, root, &sections, problems);
    }
    if let Some(clause) = envelope.as_ref().and_then(|envelope| envelope.report.as_ref()) {
        asked::check(clause, &root.key("report").key("asked"), &bindings, &scope, problems);
    }
    let needs = union_needs(document, root, &sections, problems);
    let clause = document.get("compare").filter(|_| !options.no_compare && !findings.touch("/compare"));
    let comparing = Comparing { file, cell: &cell, bindings: &bindings, scope: &scope };
    let gate = clause.and_then(|clause| comparing.gate(clause, &root.key("compare"), &mut shared.baselines, problems));
    let [setup, steps, finally] = sections;
    Some(Plan {
        file: file.to_owned(),
        envelope: envelope?,
        cell,
        bindings,
        setup,
        steps,
        finally,
        scope,
        needs,
        gate,
        origin: root.clone(),
        redactor: Arc::default(),
        former: None,
    })
}

/// Refuses what checks something in a scenario that says that nothing is checked.
fn checked_all_the_same(
    document: &Value,
    root: &Origin,
    sections: &[Vec<PlannedStep>; 3],
    problems: &mut Vec<Problem>,
) {
    let mut places: Vec<_> = ["guarantee", "compare"]
        .into_iter()
        .filter(|key| document.get(key).is_some())
        .map(|key| root.key_place(&format!("/{key}")))
        .collect();
    for step in sections.iter().flatten() {
        step.walk(&mut |step| places.extend(step.facts.judges.then(|| step.origin.key_place(""))));
    }
    problems.extend(places.into_iter().map(|place| {
        Problem::new("contradiction", "the scenario says `checks: none`, and this is a check")
            .at(place)
            .help("leave out `checks: none`, or this")
    }));
}

fn bind(root: &Origin, cell: &Cell, budget: &Budget, options: &PlanOptions, problems: &mut Vec<Problem>) -> Bindings {
    let document = &root.document.value;
    let empty = Map::new();
    let mut raw = document.get("vars").and_then(Value::as_object).unwrap_or(&empty).clone();
    let seed = options.seed.unwrap_or_else(rand::random);
    for (strength, layer) in options.vars.iter().enumerate().rev() {
        for (name, value) in layer {
            // Only --var is aimed at one scenario; the other layers may hold variables of other ones.
            if !raw.contains_key(name) && strength == 0 {
                let mut problem =
                    Problem::new("unknown-variable", format!("--var {name}: the scenario has no variable `{name}`"));
                if let Some(similar) = did_you_mean(name, raw.keys().map(String::as_str)) {
                    problem = problem.help(format!("did you mean `{similar}`?"));
                }
                problems.push(problem.at(root.key_place("/vars")));
            } else if raw.contains_key(name) {
                raw.insert(name.clone(), value.clone());
            }
        }
    }
    let secrets = hidden::names(document)
        .map(|name| {
            // A word stands for each secret of a scenario that is only looked at, also for those that are set.
            let value = if options.need_secrets {
                std::env::var(format!("KSCEN_SECRET_{name}")).ok()
            } else {
                Some("secret".to_owned())
            };
            (name.to_owned(), value)
        })
        .collect::<BTreeMap<_, _>>();
    let (matrix, secrets) = (Arc::new(cell.clone()), Arc::new(secrets));
    let budget = budget.clone();
    let mut bindings = Bindings { matrix, run_id: new_run_id(), seed, secrets, budget, ..Bindings::default() };
    bindings.bind_vars(&raw, &root.key("vars"), problems);
    bindings
}

/// A run's id: sortable by time, short enough for a topic name, unlike any other. A command counts its runs on, from where chance has it
/// begin: of some hundred runs that are planned within one second, two would get the same number by chance.
fn new_run_id() -> String {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random()));
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    format!("{now}-{:04x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn union_needs(
    document: &Value,
    root: &Origin,
    sections: &[Vec<PlannedStep>; 3],
    problems: &mut Vec<Problem>,
) -> Needs {
    let mut needs = match document.get("needs").map(|clause| serde_json::from_value::<NeedsClause>(clause.clone())) {
        Some(Ok(clause)) => clause.resolve().unwrap_or_else(|(field, message)| {
            problems.push(Problem::new("bad-value", message).at(root.place(&format!("/needs/{field}"))));
            Needs::default()
        }),
        _ => Needs::default(),
    };
    for step in sections.iter().flatten() {
        step.walk(&mut |step| needs.union(&step.needs));
    }
    needs
}
