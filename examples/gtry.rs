//! scratch
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let data = std::fs::read_to_string(&a[1]).expect("x");
    let d = tidegate::report::document::Document::parse("t.yaml", &data);
    match d {
        Err(e) => println!("{e:?}"),
        Ok(d) => {
            let extra: Vec<String> = a[2..].iter().map(|p| std::fs::read_to_string(p).expect("x")).collect();
            let e: Vec<_> =
                extra.iter().map(|t| tidegate::report::guard::RuleText { name: "x.guard", text: t }).collect();
            let (f, _c) = tidegate::report::guard::evaluate(&d, &e);
            for x in f {
                println!("{:?} {} {} {:?} {} | {:?}", x.level, x.place(), x.rule, x.resource, x.message, x.hint)
            }
        }
    }
}
