(() => {
    const live = from => from.querySelectorAll('[data-live]');
    const state = document.getElementById('state');
    const report = text => {
        if (state.textContent !== text) state.textContent = text;
    };
    const refresh = async () => {
        const answer = await fetch(location.href);
        if (!answer.ok) throw answer;
        const fresh = live(new DOMParser().parseFromString(await answer.text(), 'text/html'));
        live(document).forEach((old, at) => {
            const next = fresh[at];
            if (!next || old.innerHTML === next.innerHTML) return;
            const focus = document.activeElement;
            const link = old.contains(focus) && focus.getAttribute('href');
            for (const open of old.querySelectorAll('details[open]')) {
                const same = open.id && next.querySelector('#' + open.id);
                if (same) same.open = true;
            }
            old.replaceChildren(...next.childNodes);
            for (const a of old.querySelectorAll('a')) {
                if (link && a.getAttribute('href') === link) a.focus();
            }
        });
    };
    if (live(document).length) setInterval(() => {
        if (!document.hidden) refresh().then(() => report(''), () => report('Not up to date: refreshing failed.'));
    }, 3000);
})();
