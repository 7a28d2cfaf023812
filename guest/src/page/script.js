(() => {
    'use strict';
    const one = (selector, from = document) => from.querySelector(selector);
    const all = (selector, from = document) => [...from.querySelectorAll(selector)];
    const lang = document.documentElement.lang;

    /* A link with a token in its fragment logs in. The token leaves the address first. */
    const token = one('input[name=token]');
    if (token && location.hash.length > 9) {
        token.value = decodeURIComponent(location.hash.slice(1));
        history.replaceState(null, '', location.pathname + location.search);
        token.form.submit();
        return;
    }

    /* Times: local, with UTC on hover, and how long ago. */
    const pad = number => String(number).padStart(2, '0');
    const local = at => [
        [at.getFullYear(), pad(at.getMonth() + 1), pad(at.getDate())].join('-'),
        [at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(':'),
    ].join(' ');
    const relative = new Intl.RelativeTimeFormat(lang, { style: 'short' });
    const units = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
    const ago = at => {
        const seconds = Math.round((at - Date.now()) / 1000);
        const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) || units[3];
        return relative.format(Math.trunc(seconds / length), unit);
    };
    const passed = at => {
        const seconds = Math.max(0, Math.round((Date.now() - at) / 1000));
        const [unit, length] = units.find(([, length]) => seconds >= length) || units[3];
        return new Intl.NumberFormat(lang, { style: 'unit', unit, unitDisplay: 'short' })
            .format(Math.trunc(seconds / length));
    };
    const zone = () => new Intl.DateTimeFormat(lang, { timeZoneName: 'short' })
        .formatToParts().find(part => part.type === 'timeZoneName').value;
    const dress = from => {
        for (const time of all('time', from)) {
            const at = new Date(time.dateTime);
            if (isNaN(at)) continue;
            const isSince = time.closest('.since');
            time.textContent = isSince ? passed(at) : local(at);
            if (isSince) one('i', isSince).hidden = true;
            time.title = time.dateTime.replace('T', ' ').replace(/\.\d+Z/, ' UTC') + ' · ' + (isSince ? local(at) : ago(at));
            if (time.closest('.ago')) {
                const small = document.createElement('small');
                small.textContent = ' ' + ago(at);
                time.append(small);
            }
        }
        for (const it of all('.zone', from)) it.textContent = zone();
        for (const it of all('.copy', from)) it.hidden = false;
    };
    dress(document);

    document.addEventListener('click', async event => {
        const button = event.target.closest('.copy');
        if (!button) return;
        const code = one('code', button.closest('details'));
        /* Without https there is no clipboard, but the selection can be copied. */
        if (navigator.clipboard) {
            await navigator.clipboard.writeText(code.textContent);
        } else {
            getSelection().selectAllChildren(code);
            document.execCommand('copy');
        }
        const label = button.textContent;
        button.textContent = '✔';
        setTimeout(() => { button.textContent = label; }, 1000);
    });
    /* A form without its empty fields makes a short address. */
    document.addEventListener('submit', event => {
        const sure = event.submitter && event.submitter.dataset.sure;
        if (sure && !confirm(sure)) {
            event.preventDefault();
            return;
        }
        for (const field of all('input, select', event.target)) field.disabled = !field.value;
    });
    addEventListener('pageshow', () => all(':disabled').forEach(it => { it.disabled = false; }));

    /* Updates replace only what changed. */
    const live = from => all('[data-live]', from);
    if (!live(document).length) return;
    const key = node => node.nodeType === 1 ? node.dataset.k || node.id : '';
    const alike = (a, b) => a.nodeName === b.nodeName && key(a) === key(b);
    const morph = (old, next) => {
        if (old.isEqualNode(next)) return;
        if (old.nodeType !== 1) {
            old.nodeValue = next.nodeValue;
            return;
        }
        if (old.localName === 'details' && old.open) return;
        for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
        for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
        let at = old.firstChild;
        for (const child of [...next.childNodes]) {
            let match = at;
            while (match && !alike(match, child)) match = match.nextSibling;
            if (!match) {
                old.insertBefore(child, at);
                if (child.localName === 'tr') child.className = 'new';
                continue;
            }
            if (match.contains(document.activeElement)) {
                while (at !== match) {
                    const gone = at;
                    at = at.nextSibling;
                    gone.remove();
                }
            } else if (match !== at) {
                old.insertBefore(match, at);
            }
            morph(match, child);
            at = match.nextSibling;
        }
        while (at) {
            const gone = at;
            at = at.nextSibling;
            gone.remove();
        }
    };
    const isSelected = block => {
        const selection = getSelection();
        return !selection.isCollapsed && selection.containsNode(block, true);
    };

    const state = one('#state'), pause = one('#pause');
    const show = (what, level = '') => {
        const text = state.dataset[what];
        state.className = level;
        if (state.textContent !== text) state.textContent = text;
    };
    const refresh = async () => {
        const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
        if (answer.status === 401) return show('out', 'bad');
        if (!answer.ok) throw answer;
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        dress(page);
        document.title = page.title;
        let isHeld = false;
        const fresh = live(page);
        live(document).forEach((old, at) => {
            if (!fresh[at]) return;
            if (isSelected(old)) isHeld = true;
            else morph(old, fresh[at]);
        });
        if (isHeld) show('held', 'warn');
        else show('ok');
    };
    let isPaused = false, failures = 0, timer;
    const next = delay => {
        clearTimeout(timer);
        timer = setTimeout(turn, delay);
    };
    const turn = async () => {
        if (isPaused || document.hidden) return;
        try {
            await refresh();
            failures = 0;
        } catch {
            failures = Math.min(failures + 1, 4);
            show('bad', 'bad');
        }
        state.title = local(new Date());
        next(3000 << failures);
    };
    one('#live').hidden = false;
    pause.addEventListener('click', () => {
        isPaused = !isPaused;
        pause.setAttribute('aria-pressed', isPaused);
        if (isPaused) show('paused', 'warn');
        else turn();
    });
    document.addEventListener('visibilitychange', () => next(0));
    show('ok');
    next(3000);
})();
