'use strict';
// Heat maps, filters and the keyboard. Everything else of the page is there without it.
(() => {
	const SPACE = 4096, WIDTH = 64, STEPS = 9;
	const data = JSON.parse(document.getElementById('data').textContent);
	const form = document.getElementById('filter');
	const told = document.getElementById('told');
	const tip = document.getElementById('tip');
	const fields = ['device', 'vm', 'result', 'from', 'to'];
	const hex = (number) => number.toString(16).padStart(3, '0');

	// As src/shade.rs has it.
	const step = (count) =>
		count ? Math.min(STEPS, Math.floor(Math.floor(Math.log2(count)) / 2) + 1) : 0;
	const fate = (cell) => {
		const allowed = cell.allowed || cell.moreAllowed, blocked = cell.blocked || cell.moreBlocked;
		return allowed ? (blocked ? 'm' : 'a') : (blocked ? 'b' : '');
	};
	const glyph = (kind, level) => {
		if (!kind) return '';
		if (!level) return {a: '~', b: '-', m: '='}[kind];
		return String.fromCharCode({a: 0x31, b: 0x61, m: 0x41}[kind] + level - 1);
	};
	const words = (cell) => {
		if (!fate(cell)) return 'none';
		const more = [cell.moreAllowed && 'allowed', cell.moreBlocked && 'blocked'].filter(Boolean);
		return `${cell.allowed} allowed, ${cell.blocked} blocked` +
			(more.length ? `, more ${more.join(' and ')} without a record` : '');
	};

	const filter = () => Object.fromEntries(fields.map((name) => [name, form.elements[name].value]));
	const some = (f) => f.vm || f.from || f.to;
	const matches = (session, f) =>
		(!f.vm || session.vm === f.vm || session.uuid === f.vm) &&
		(!f.from || session.last >= f.from) && (!f.to || session.first <= f.to);

	// What happened to each byte, of all sessions or of those that are asked for.
	const shades = (device, op, f) => {
		const none = {allowed: 0, blocked: 0, moreAllowed: false, moreBlocked: false};
		const cells = Array.from({length: SPACE}, () => ({...none}));
		const add = (start, size, allowed, count) => {
			if (f.result && (f.result === 'allowed') !== allowed) return;
			for (let at = start; at < Math.min(start + size, SPACE); at++) {
				if (count) cells[at][allowed ? 'allowed' : 'blocked'] += count;
				else cells[at][allowed ? 'moreAllowed' : 'moreBlocked'] = true;
			}
		};
		const spots = some(f)
			? device.sessions.filter((session) => matches(session, f)).flatMap((session) => session.spots)
			: device.spots;
		for (const [spotOp, allowed, start, size, count] of spots)
			if (spotOp === op) add(start, size, allowed, count);
		return cells;
	};

	const element = (name, attributes, text) => {
		const made = document.createElement(name);
		for (const [key, value] of Object.entries(attributes || {}))
			if (value !== '') made.setAttribute(key, value);
		if (text !== undefined) made.textContent = text;
		return made;
	};

	const owner = (device, offset) =>
		device.owners.find(([start, size]) => offset >= start && offset < start + size);

	const square = (device, cells, offset) => {
		const cell = cells[offset], kind = fate(cell), level = step(cell.allowed + cell.blocked);
		const of = owner(device, offset);
		const title = `0x${hex(offset)}: ${words(cell)}${of ? `; ${of[2]}` : ''}`;
		const hatch = {b: ' h', m: ' x'}[kind] || '';
		const attributes = {title, class: kind ? kind + level + hatch : '', 'data-at': offset};
		const made = element('td', attributes, glyph(kind, level));
		if (of) made.style.boxShadow = `inset 0 -3px ${of[3]}`;
		if (kind) made.tabIndex = -1;
		return made;
	};

	const alike = (device, cells, start) => {
		const one = (at) => words(cells[at]) + (owner(device, at) || [])[2];
		const first = one(start);
		for (let at = start; at < start + WIDTH; at++) if (one(at) !== first) return null;
		return first;
	};

	const draw = (device, op, f) => {
		const cells = shades(device, op, f);
		if (!cells.some((cell) => fate(cell))) return null;
		const table = element('table', {class: 'heat', role: 'grid', 'data-op': op});
		table.append(element('caption', {}, `${op === 'write' ? 'Writes' : 'Reads'} by byte`));
		const head = table.createTHead().insertRow();
		head.append(element('th', {}, ''));
		for (let at = 0; at < WIDTH; at += 4) {
			const offset = '+' + at.toString(16).padStart(2, '0');
			head.append(element('th', {colspan: 4, scope: 'colgroup'}, offset));
		}
		const body = table.createTBody();
		for (let start = 0; start < SPACE;) {
			const row = body.insertRow();
			row.append(element('th', {scope: 'row'}, hex(start)));
			const same = alike(device, cells, start);
			let end = start + WIDTH;
			if (same !== null) while (end < SPACE && alike(device, cells, end) === same) end += WIDTH;
			if (end > start + WIDTH) {
				const made = square(device, cells, start);
				made.colSpan = WIDTH;
				made.classList.add('l');
				const rows = (end - start) / WIDTH;
				made.textContent += ` to ${hex(end - 1)}, ${rows} rows: ${words(cells[start])}`;
				made.title = made.textContent.trim();
				row.append(made);
			} else {
				for (let at = start; at < end; at++) row.append(square(device, cells, at));
			}
			start = end;
		}
		const first = table.querySelector('td[tabindex]');
		if (first) first.tabIndex = 0;
		return table;
	};

	const update = () => {
		const f = filter();
		let sessions = 0, devices = 0;
		for (const section of document.querySelectorAll('section.device')) {
			const device = data.devices[section.dataset.index];
			const shown = device.sessions.map((session) => matches(session, f));
			const other = f.device && f.device !== device.name;
			section.hidden = Boolean(other || (some(f) && !shown.includes(true)));
			for (const each of section.querySelectorAll('[data-session]'))
				each.toggleAttribute('hidden', !shown[each.dataset.session]);
			for (const row of section.querySelectorAll('[data-result]'))
				row.hidden = Boolean(f.result && row.dataset.result !== f.result);
			const maps = section.querySelector('.maps');
			maps.replaceChildren();
			if (section.hidden) continue;
			devices++;
			sessions += shown.filter(Boolean).length;
			for (const op of ['write', 'read']) {
				const table = draw(device, op, f);
				if (table) maps.append(table);
			}
			const note = (text) => maps.append(element('p', {class: 'note'}, text));
			if (!maps.children.length) note('No access of that kind.');
			if (some(f) && device.older)
				note(`${device.older} older sessions of this device are not listed one by one.`);
			const leftOut = (sum, session, at) => sum + (shown[at] ? session.left_out : 0);
			const out = device.sessions.reduce(leftOut, 0);
			if (some(f) && out)
				note(`${out} records of these sessions are left out: they touched too many ranges.`);
		}
		told.textContent = `Shown: ${devices} of ${data.devices.length} devices, ${sessions} sessions`;
		const kept = fields
			.filter((name) => f[name])
			.map((name) => `${name}=${encodeURIComponent(f[name])}`);
		history.replaceState(null, '', kept.length ? '#' + kept.join('&') : location.pathname);
	};

	const showTip = (cell) => {
		tip.textContent = cell.title;
		tip.hidden = false;
		const box = cell.getBoundingClientRect();
		tip.style.left = `${box.left + scrollX}px`;
		tip.style.top = `${box.bottom + scrollY + 4}px`;
	};

	// Arrow keys go to the next byte that something happened to.
	const move = (cell, key) => {
		const cells = [...cell.closest('table').querySelectorAll('td[tabindex]')];
		const at = cells.indexOf(cell), offset = Number(cell.dataset.at);
		const below = (one) => Number(one.dataset.at) % WIDTH === offset % WIDTH || one.colSpan > 1;
		switch (key) {
		case 'ArrowRight': return cells[at + 1];
		case 'ArrowLeft': return cells[at - 1];
		case 'ArrowDown': return cells.slice(at + 1).find(below);
		case 'ArrowUp': return cells.slice(0, at).reverse().find(below);
		case 'Home': return cells[0];
		case 'End': return cells[cells.length - 1];
		default: return undefined;
		}
	};

	document.addEventListener('keydown', (event) => {
		const cell = event.target.closest && event.target.closest('.heat td');
		if (event.key === 'Escape') tip.hidden = true;
		const next = cell && move(cell, event.key);
		if (!next) return;
		event.preventDefault();
		cell.tabIndex = -1;
		next.tabIndex = 0;
		next.focus();
	});
	document.addEventListener('focusin', (event) => {
		if (event.target.matches('.heat td')) showTip(event.target);
		else tip.hidden = true;
	});

	for (const pair of location.hash.slice(1).split('&')) {
		const [name, value] = pair.split('=');
		if (fields.includes(name)) form.elements[name].value = decodeURIComponent(value || '');
	}
	form.addEventListener('input', update);
	form.addEventListener('reset', () => setTimeout(update));
	form.addEventListener('submit', (event) => event.preventDefault());
	form.hidden = false;
	update();
})();
