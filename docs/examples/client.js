#!/usr/bin/env node
// SPDX-License-Identifier: ISC
// libmortise from Node.js, by npm's koffi.
//
// client.js get PATH            prints a secret, byte for byte
// client.js set PATH <VALUE     stores a version
'use strict';

const fs = require('node:fs');
const koffi = require('koffi');

const VALUE_MAX = 65536;

const lib = koffi.load('libmortise.so.1');
koffi.pointer('Agent', koffi.opaque());
const open = lib.func('int mortise_open(const char *socket, _Out_ Agent *agent)');
const close = lib.func('void mortise_close(Agent agent)');
const setDeadline = lib.func('void mortise_set_deadline(Agent agent, int deadline, int wait)');
const get = lib.func(
	'int mortise_get(Agent agent, const char *path, void *to, size_t room, _Out_ size_t *size)');
const set = lib.func('int mortise_set(Agent agent, const char *path, void *value, size_t size, ' +
	'_Out_ uint64_t *version)');
const wipe = lib.func('void mortise_wipe(void *buffer, size_t size)');
const message = lib.func('const char *mortise_message(Agent agent)');

class MortiseError extends Error {
	constructor(status, text) {
		super(text);
		this.status = status;
	}
}

// Its calls block: they belong into a start, or into a worker thread.
class Mortise {
	constructor({ socket = null, waitMs = 0 } = {}) {
		const agent = [null];
		const status = open(socket, agent);
		this.agent = agent[0];
		try {
			this.check(status);
		} catch (error) {
			this.close();
			throw error;
		}
		setDeadline(this.agent, 10000, waitMs);
	}

	close() {
		if (this.agent)
			close(this.agent);
		this.agent = null;
	}

	check(status) {
		if (status !== 0)
			throw new MortiseError(status, this.agent ? message(this.agent) : 'out of memory');
	}

	// What use() gets is wiped when it returns: a string made of it is not.
	withSecret(path, use) {
		const buffer = Buffer.allocUnsafeSlow(VALUE_MAX);
		const size = [0];
		try {
			this.check(get(this.agent, path, buffer, VALUE_MAX, size));
			return use(buffer.subarray(0, Number(size[0])));
		} finally {
			wipe(buffer, VALUE_MAX);
		}
	}

	set(path, value) {
		const version = [0];
		this.check(set(this.agent, path, value, value.length, version));
		return version[0];
	}
}

function main([verb, path]) {
	let agent;
	try {
		agent = new Mortise();
		if (verb === 'set')
			console.log(`version ${agent.set(path, fs.readFileSync(0))}`);
		else
			agent.withSecret(path, (value) => fs.writeFileSync(1, value));
	} catch (error) {
		if (!(error instanceof MortiseError))
			throw error;
		console.error(`client.js: ${error.message}`);
		process.exitCode = error.status;
	} finally {
		agent?.close();
	}
}

if (require.main === module)
	main(process.argv.slice(2));

module.exports = { Mortise, MortiseError };
