"""What a rendered page must hold for every reader, looked up in a browser and in the files.

`survey_pages` visits each page of a folder once for a screen and notes everything that the checks need;
`broken_links` and `images_without_text` need no browser. Each works on any folder of pages.
"""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from densing.book.browser import SCREENS, THEMES, html_pages, new_context, open_browser, serve, settle

_SKIPPED = "pre, code, script, style, mjx-container, sup, sub, button, .headerlink, .footnote-reference"
_LOOK = r"""skipped => {
    const article = document.querySelector('article') || document.body;
    const width = window.innerWidth;
    const box = element => element.getBoundingClientRect();
    const shown = element => box(element).width > 0 && box(element).height > 0;
    const describe = element => element.tagName.toLowerCase() + [...element.classList].map(n => '.' + n).join('')
        + ' "' + element.textContent.trim().slice(0, 40) + '"';
    const boxed = element => {
        for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
            if (getComputedStyle(up).overflowX !== 'visible') return true;
        return false;
    };
    const wide = [...document.body.querySelectorAll('*')].filter(
        element => shown(element) && box(element).right > width + 1 && !boxed(element));
    const small = [], raw = [];
    const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent.trim(), parent = texts.currentNode.parentElement;
        if (!text || !shown(parent) || parent.closest(skipped)) continue;
        if (parseFloat(getComputedStyle(parent).fontSize) < 14) small.push(describe(parent));
        if (/\\[A-Za-z]{2,}|\\[()[\]]|\$\$|\{[a-z:]+\}`/.test(text)) raw.push(text.slice(0, 60));
    }
    const images = [...document.querySelectorAll('img')].filter(shown).map(image => ({
        source: image.getAttribute('src').slice(0, 200),
        in_article: article.contains(image),
        loaded: image.naturalWidth > 0,
        vector: /\.svg($|\?)|^data:image\/svg/.test(image.src),
        pixels: image.naturalWidth, width: box(image).width, right: box(image).right,
    }));
    return {
        page_width: document.scrollingElement.scrollWidth, window_width: width,
        wide: wide.slice(0, 5).map(describe), small, raw, images,
        math: document.querySelectorAll('.math').length,
        typeset: document.querySelectorAll('.math mjx-container').length,
        math_errors: [...document.querySelectorAll('mjx-merror')].map(e => e.textContent.slice(0, 80)),
    };
}"""
# axe looks at what is shown, colours in transition included: unfold everything, stop all motion
_UNFOLD = """() => {
    document.head.insertAdjacentHTML('beforeend',
        '<style>*, *::before, *::after { transition: none !important; animation: none !important; }</style>');
    document.querySelectorAll('article details').forEach(details => { details.open = true; });
    for (const folded of ['toggle-hidden', 'toggle-button-hidden'])
        document.querySelectorAll('article .' + folded).forEach(box => box.classList.remove(folded));
}"""
# Contrast is nearly all of axe's time, and depends on style alone: one element of each style stands for the others
_AXE = """async ({colours, rest}) => {
    const background = element => {
        for (let up = element; up; up = up.parentElement) {
            const {backgroundColor, backgroundImage} = getComputedStyle(up);
            if (backgroundImage !== 'none' || !/^(transparent|rgba\\(.*, 0\\))$/.test(backgroundColor))
                return backgroundColor + backgroundImage;
        }
        return '';
    };
    const styles = new Map();
    for (const element of document.body.querySelectorAll('*')) {
        if (![...element.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
        const {color, fontSize, fontWeight, opacity, visibility} = getComputedStyle(element);
        const style = [element.tagName, color, fontSize, fontWeight, opacity, visibility, background(element)];
        if (element.getBoundingClientRect().width > 0 && !styles.has(style.join()))
            styles.set(style.join(), element);
    }
    const results = await axe.run(rest ? document : {include: [...styles.values()]}, {
        resultTypes: ['violations'], preload: false,
        ...(rest ? {rules: Object.fromEntries(colours.map(rule => [rule, {enabled: false}]))}
                 : {runOnly: {type: 'rule', values: colours}}),
    });
    const reason = node => (node.any.concat(node.all, node.none)[0] || {}).message;
    return results.violations.map(({id, impact, help, nodes}) => ({
        id, impact, help, nodes: nodes.slice(0, 5).map(node => node.target.join(' ') + ': ' + reason(node))}));
}"""
_COLOURS = ["color-contrast", "link-in-text-block"]


def survey_pages(folder: Path, pages: Iterable[str] | None = None) -> dict[str, dict]:
    """Visit pages on every screen and note what a reader would meet.

    Parameters
    ----------
    folder : rendered pages; they are served from a local port.
    pages : addresses below `folder`; None means every page.

    Returns
    -------
    For each page and screen, under ``"<page> <screen>"``, what JSON can hold: ``console`` (errors), ``foreign``
    (requests to other hosts, which the browser refuses), ``failed`` (requests), ``axe`` (theme to violations; those
    that have nothing to do with colour under "light"); ``page_width`` and ``window_width`` in pixels, ``wide``
    (elements that stick out), ``small`` (text below 14 px), ``raw`` (TeX or roles left in the text), ``images``,
    ``math``, ``typeset``, ``math_errors``.
    """
    from axe_playwright_python.base import AXE_SCRIPT

    found = list(html_pages(folder) if pages is None else pages)
    report = {}
    with serve(folder) as address, open_browser() as browser:
        for screen in SCREENS:
            with new_context(browser, screen) as context:
                for name in found:
                    page = context.new_page()
                    notes = _listen(page, address)
                    page.goto(f"{address}/{name}")
                    settle(page)
                    page.evaluate(_UNFOLD)
                    settle(page)
                    notes |= page.evaluate(_LOOK, _SKIPPED)
                    page.evaluate(AXE_SCRIPT)
                    notes["axe"] = {
                        "light": page.evaluate(_AXE, {"colours": _COLOURS, "rest": True}),
                        "dark": [],
                    }
                    for theme in THEMES:
                        page.emulate_media(color_scheme=theme)
                        settle(page)
                        notes["axe"][theme] += page.evaluate(_AXE, {"colours": _COLOURS, "rest": False})
                    page.close()
                    report[f"{name} {screen}"] = notes
    return report


def search_book(folder: Path, word: str) -> list[str]:
    """Titles that the book's own search page lists for `word`."""
    with serve(folder) as address, open_browser() as browser, new_context(browser, "desktop") as context:
        page = context.new_page()
        _listen(page, address)
        page.goto(f"{address}/search.html?q={quote(word)}")
        page.wait_for_function("document.querySelector('.search-summary')?.textContent.match(/found|match/)")
        return page.locator("#search-results li a").all_inner_texts()


def broken_links(folder: Path) -> list[str]:
    """Links, images, scripts and styles that lead to no file of `folder`, or to no anchor of their page.

    Links to other hosts are not followed. Returns one line for each: ``page: address (reason)``.
    """
    anchors, references = {}, {}
    for page in html_pages(folder):
        tree = _parse(folder / page)
        anchors[page] = {value for name in ("id", "name") for value in tree.xpath(f"//@{name}")}
        references[page] = dict.fromkeys(tree.xpath("//@href | //@src"))
    broken = []
    for page, addresses in references.items():
        for address in addresses:
            target = urlsplit(urljoin(f"http://book/{page}", address))
            if target.netloc != "book":
                continue
            path = unquote(target.path).lstrip("/") or "index.html"
            if path not in anchors and not (folder / path).is_file():
                broken.append(f"{page}: {address} (no such file)")
            elif target.fragment and path in anchors and unquote(target.fragment) not in anchors[path]:
                broken.append(f"{page}: {address} (no such anchor)")
    return broken


def images_without_text(folder: Path) -> list[str]:
    """Images whose alternative text is absent, blank or the name of their own file: ``page: source``."""
    bad = []
    for page in html_pages(folder):
        for image in _parse(folder / page).iter("img"):
            source, text = image.get("src", ""), (image.get("alt") or "").strip()
            if not text or Path(text).name == Path(unquote(source)).name:
                bad.append(f"{page}: {source[:200]}")
    return bad


def _parse(path: Path):
    from lxml import html

    return html.document_fromstring(path.read_bytes(), parser=html.HTMLParser(encoding="utf-8"))


def _listen(page, address: str) -> dict[str, list[str]]:
    notes = {"console": [], "foreign": [], "failed": []}

    def request(sent) -> None:
        if not sent.url.startswith((address, "data:", "blob:")):
            notes["foreign"].append(sent.url)

    page.on("request", request)
    page.on("console", lambda message: message.type == "error" and notes["console"].append(message.text))
    page.on("pageerror", lambda error: notes["console"].append(str(error)))
    page.on("requestfailed", lambda sent: notes["failed"].append(f"{sent.url}: {sent.failure}"))
    page.on("response", lambda got: got.status >= 400 and notes["failed"].append(f"{got.url}: {got.status}"))
    return notes
