// SPDX-License-Identifier: GPL-2.0

//! The page of `report --html`: what every browser sees, and what Chromium makes of it.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{data, run};

/// The page of logs of tenants, of a guest, and of another machine.
fn page(folder: &Path) -> String {
    let log = fs::read_to_string(data("tenants.log")).unwrap();
    // The second tenant was a virtual machine, which has a name that would end an element of the
    // page.
    let virt = "type=VIRT_CONTROL msg=audit(1796000001.000:1): pid=1 msg='op=start \
                vm=\"a</script><b>\" uuid=8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b vm-pid=3300 \
                res=success'\n";
    let tenants = folder.join("tenants");
    fs::write(&tenants, log + virt).unwrap();
    let file = folder.join("page.html");
    let output = run(&[
        "report",
        "--root=/nowhere",
        "--dump=e1000e.lspci",
        "--html",
        file.to_str().unwrap(),
        tenants.to_str().unwrap(),
        "enriched.log",
    ]);
    assert!(output.status.success(), "{output:?}");
    fs::read_to_string(file).unwrap()
}

#[test]
fn a_page_is_one_file_that_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    for part in [
        "default-src 'none'",
        "<html lang=\"en\">",
        "<h2 id=\"d0\">0000:01:00.0</h2>",
        "<h2 id=\"d1\">0000:04:00.0 on passthrough1</h2>",
        "VM a&lt;/script&gt;&lt;b&gt;, dpdk-testpmd 3300",
        "aria-label=\"Time line of 2 sessions\"",
        "</span>0x100-0x12b [0001] Advanced Error Reporting</li>",
        "<noscript>",
        "prefers-color-scheme:dark",
    ] {
        assert!(page.contains(part), "no {part}: {page}");
    }
    // Nothing is fetched, and nothing that a log says can end an element.
    for part in ["http://", "https://", "src=", "@import", "url(", "<b>"] {
        assert!(!page.contains(part), "{part}");
    }
    assert_eq!(page.matches("</script>").count(), 2);
    // Each element that is opened is closed.
    for name in [
        "section", "table", "tr", "td", "form", "svg", "g", "main", "ul",
    ] {
        let opened =
            page.matches(&format!("<{name}>")).count() + page.matches(&format!("<{name} ")).count();
        assert_eq!(
            opened,
            page.matches(&format!("</{name}>")).count(),
            "{name}"
        );
    }
}

/// What Chromium has made of a page, with filters in its address and a script behind its own.
fn browse(page: &str, filters: &str, script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    // What goes wrong is told in the page itself.
    let watch = "<script>addEventListener('error', (e) => { \
                 document.documentElement.dataset.wrong = e.message; });</script>";
    let page = page.replacen("<body>", &format!("<body>{watch}"), 1);
    let page = page.replacen("</body>", &format!("<script>{script}</script></body>"), 1);
    fs::write(&file, page).unwrap();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=2000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}{filters}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(
        dom.contains("</html>"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!dom.contains("data-wrong"), "{dom}");
    dom
}

/// The part of a page that begins with the heading of a device.
fn section(dom: &str, index: usize) -> &str {
    let start = dom.find(&format!("data-index=\"{index}\"")).unwrap();
    let start = dom[..start].rfind("<section").unwrap();
    &dom[start..start + dom[start..].find("</section>").unwrap()]
}

#[test]
#[cfg_attr(not(has_chromium), ignore = "this machine has no chromium")]
fn chromium_draws_what_the_terminal_shows() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let dom = browse(&page, "", "");
    assert!(dom.contains("Shown: 2 of 2 devices, 6 sessions"), "{dom}");
    let first = section(&dom, 0);
    for part in [
        // Blocked, hatched, with a letter; allowed, with a digit; both; and where it belongs to.
        "title=\"0x160: 0 allowed, 1 blocked\" class=\"b1 h\"",
        ">a</td>",
        "title=\"0x298: 0 allowed, 2 blocked, more blocked without a record\" class=\"b1 h\"",
        "title=\"0x280: 0 allowed, 0 blocked, more blocked without a record\" class=\"b0 h\"",
        ">-</td>",
        "title=\"0x040: 1 allowed, 0 blocked\" class=\"a1\"",
        "title=\"0x100: none; 0x100-0x12b [0001] Advanced Error Reporting\"",
    ] {
        assert!(first.contains(part), "no {part}: {first}");
    }
    // The steps of the scale are those of the other pictures.
    let script = r#"
        const writes = '[data-index="0"] [data-op="write"]';
        const cells = [...document.querySelectorAll(`${writes} td[tabindex]`)];
        document.body.dataset.glyphs = cells.map((cell) => cell.textContent).join('');
    "#;
    let glyphs = browse(&page, "", script);
    let expected = format!(
        "data-glyphs=\"aaaa{}aaaa{}\"",
        "-".repeat(24),
        "-".repeat(4)
    );
    assert!(glyphs.contains(&expected), "{glyphs}");
}

#[test]
#[cfg_attr(not(has_chromium), ignore = "this machine has no chromium")]
fn chromium_filters() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let hidden = |dom: &str, index| {
        section(dom, index)
            .split('>')
            .next()
            .unwrap()
            .contains("hidden")
    };

    let vm = browse(&page, "#vm=a%3C%2Fscript%3E%3Cb%3E", "");
    assert!(vm.contains("Shown: 1 of 2 devices, 1 sessions"), "{vm}");
    assert!(!hidden(&vm, 0) && hidden(&vm, 1));
    // Its own writes only: not those of the other tenant, nor reads.
    let first = section(&vm, 0);
    assert!(
        first.contains("title=\"0x298: 0 allowed, 1 blocked\""),
        "{first}"
    );
    assert!(!first.contains("0x160: 0 allowed, 1"), "{first}");
    assert!(!first.contains("data-op=\"read\""), "{first}");

    let device = browse(&page, "#device=0000%3A04%3A00.0%20on%20passthrough1", "");
    assert!(hidden(&device, 0) && !hidden(&device, 1));

    let allowed = browse(&page, "#result=allowed", "");
    let first = section(&allowed, 0);
    assert!(!first.contains("data-op=\"write\""), "{first}");
    assert!(first.contains("data-op=\"read\""), "{first}");

    let time = browse(&page, "#from=2026-11-30T00%3A00%3A00", "");
    assert!(!hidden(&time, 0) && hidden(&time, 1), "{time}");
    let none = browse(&page, "#to=2000-01-01T00%3A00%3A00", "");
    assert!(none.contains("Shown: 0 of 2 devices, 0 sessions"), "{none}");
    // Who changes a field sees the same.
    let script = r#"
        const form = document.getElementById('filter');
        form.elements.result.value = 'allowed';
        form.elements.result.dispatchEvent(new Event('input', {bubbles: true}));
        document.body.dataset.address = location.hash;
    "#;
    let changed = browse(&page, "", script);
    assert!(
        changed.contains("data-address=\"#result=allowed\""),
        "{changed}"
    );
    assert_eq!(section(&changed, 0), first);
}

#[test]
#[cfg_attr(not(has_chromium), ignore = "this machine has no chromium")]
fn chromium_goes_by_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let script = r#"
        const first = '[data-index="0"] [data-op="write"] td[tabindex="0"]';
        const cell = document.querySelector(first);
        const press = (key) => {
            const event = new KeyboardEvent('keydown', {key, bubbles: true});
            document.activeElement.dispatchEvent(event);
        };
        cell.focus();
        const says = [document.getElementById('tip').textContent];
        for (const key of ['ArrowRight', 'ArrowDown', 'End', 'ArrowLeft', 'Home']) {
            press(key);
            says.push(document.getElementById('tip').textContent.slice(0, 5));
        }
        press('Escape');
        says.push(String(document.getElementById('tip').hidden));
        says.push(document.querySelectorAll(first).length);
        document.body.dataset.says = says.join(' | ');
    "#;
    let dom = browse(&page, "", script);
    let expected = "data-says=\"0x160: 0 allowed, 1 blocked | 0x161 | 0x161 | 0x29f | 0x29e | \
                    0x160 | true | 1\"";
    let at = dom.find("data-says").map(|at| &dom[at..at + 200]);
    assert!(dom.contains(expected), "{at:?}");
}
