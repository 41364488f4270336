// The same check for the test runner of Node, which nests its suites.
import assert from 'node:assert';
import { describe, it } from 'node:test';

const texts = { 'review-3': 'Great phone', 'review-6': 'It is okay' };

describe('情感', () => {
  describe('labels', () => {
    for (const [name, text] of Object.entries(texts)) {
      it(`label of ${name}`, () => assert.ok(text.includes('Great'), `${name} 应为 positive`));
    }
    it('later', { skip: 'not yet' }, () => {});
  });
});

it('alone', () => {});
