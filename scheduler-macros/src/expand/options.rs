//! The options as calls on the runtime's `Task`: one for each option that was written, so that what is absent keeps the
//! runtime's default.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use symphra_scheduler_core::CronExpr;

use super::{moment, private, zone};
use crate::model::Task;
use crate::options::{Parts, Retry};

/// The call that hands the options to the declaration, or nothing where none was written.
pub(super) fn options(task: &Task<'_>) -> Option<TokenStream> {
    let setters = setters(task);
    (!setters.is_empty()).then(|| quote! { .options(|__task| __task #setters) })
}

fn setters(task: &Task<'_>) -> TokenStream {
    let private = private(task);
    let options = &task.options;
    let tags = (!options.tags.is_empty()).then(|| {
        let tags = &options.tags;
        quote! { .static_tags(&[#(#tags),*]) }
    });
    let metadata = (!options.metadata.is_empty()).then(|| {
        let facts = options.metadata.iter().map(|(key, value)| quote! { (#key, #value) });
        quote! { .static_metadata(&[#(#facts),*]) }
    });
    let timezone = options.timezone.map(zone::variant).map(|variant| quote! { .timezone(#private::Tz::#variant) });
    let start = options.start.map(|start| moment(task, start)).map(|start| quote! { .starting(#start) });
    let end = options.end.map(|end| moment(task, end)).map(|end| quote! { .ending(#end) });
    let except = options.except.map(|except| cron(task, &except)).map(|except| quote! { .except(#except) });
    let jitter = options.jitter.map(|longest| duration(task, longest)).map(|longest| quote! { .jitter(#longest) });
    let delay = options.delay.map(|delay| quote! { .delay(#private::#delay) });
    let max_runs = options.max_runs.map(|count| quote! { .max_runs(#count) });
    let max_instances = options.max_instances.map(|count| quote! { .max_instances(#count) });
    let overlap = options.overlap.map(|overlap| quote! { .overlap(#private::#overlap) });
    let misfire = options.misfire.map(|misfire| quote! { .misfire(#private::#misfire) });
    let catch_up_window = options.catch_up_window.map(|window| duration(task, window));
    let catch_up_window = catch_up_window.map(|window| quote! { .catch_up_window(#window) });
    let timeout = options.timeout.map(|time| duration(task, time)).map(|time| quote! { .timeout(#time) });
    let retry = options.retry.as_ref().map(|policy| retry(task, policy)).map(|policy| quote! { .retry(#policy) });
    let delivery = options.delivery.map(|delivery| quote! { .delivery(#private::#delivery) });
    let priority = options.priority.map(|priority| quote! { .priority(#priority) });
    let group = options.group.as_ref().map(|name| quote! { .group(#name) });
    let enabled = options.enabled.map(|enabled| quote! { .enabled(#enabled) });
    let run_on_start = options.run_on_start.map(|run| quote! { .run_on_start(#run) });
    let pause_after = options.pause_after.map(|failures| quote! { .pause_after(#failures) });
    let success = options.expect_success_within.map(|time| duration(task, time));
    let success = success.map(|time| quote! { .expect_success_within(#time) });
    let upgrades = &options.upgrade;
    let upgrade = (!upgrades.is_empty()).then(|| quote! { .upgrade(&[#(#upgrades),*]) });
    quote! {
        #tags #metadata #timezone #start #end #except #jitter #delay #max_runs #max_instances #overlap #misfire
        #catch_up_window #timeout #retry #delivery #priority #group #enabled #run_on_start #pause_after #success
        #upgrade
    }
}

fn retry(task: &Task<'_>, policy: &Retry) -> TokenStream {
    let private = private(task);
    let parts = match policy {
        Retry::Preset(preset) => return quote! { #private::#preset },
        Retry::Parts(parts) => parts,
    };
    let Parts { max_attempts, strategy, wait_min, wait_max, multiplier, jitter, when } = &**parts;
    let max_attempts = max_attempts.map(|attempts| quote! { .max_attempts(#attempts) });
    let strategy = strategy.map(|strategy| quote! { .strategy(#private::#strategy) });
    let wait_min = wait_min.map(|wait| duration(task, wait)).map(|wait| quote! { .wait_min(#wait) });
    let wait_max = wait_max.map(|wait| duration(task, wait)).map(|wait| quote! { .wait_max(#wait) });
    let multiplier = multiplier.map(|factor| quote! { .multiplier(#factor) });
    let jitter = jitter.map(|jitter| quote! { .jitter(#jitter) });
    let when = when.as_ref().map(|when| quote! { .when(#when) });
    quote! {
        #private::RetryPolicy::standard() #max_attempts #strategy #wait_min #wait_max #multiplier #jitter #when
    }
}

/// The expression as numbers, so that nothing is parsed at start.
pub(super) fn cron(task: &Task<'_>, expression: &CronExpr) -> TokenStream {
    let private = private(task);
    let bits = expression.to_bits();
    quote! { #private::CronExpr::from_bits([#(#bits),*]) }
}

fn duration(task: &Task<'_>, duration: Duration) -> impl ToTokens {
    let private = private(task);
    let millis = u64::try_from(duration.as_millis()).expect("a duration is read from as many milliseconds");
    quote! { #private::Duration::from_millis(#millis) }
}
