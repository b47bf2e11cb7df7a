package jsvmtest

// TypicalCell is what benchmarks run: twenty lines as a model writes them, with one call.
const TypicalCell = `
const orders = [{id: 1, total: 30, tags: ['a']}, {id: 2, total: 12.5, tags: []}, {id: 3, total: 99, tags: ['a', 'b']}];
function sum(list) { return list.reduce((a, o) => a + o.total, 0); }
class Report { constructor(o) { this.orders = o; } total() { return sum(this.orders); } }
const report = new Report(orders.filter((o) => o.tags.length > 0));
const {id, ...others} = orders[0];
let text = '';
for (const o of orders) {
  text += o.id + ': ' + o.total.toFixed(2) + '\n';
}
const byTag = Object.groupBy(orders, (o) => o.tags[0] ?? 'none');
print(text, report.total(), Object.keys(byTag));
const answer = await fetchIt({total: report.total()});
answer.total`

// ShortCell is what most cells are like: a few lines, of which two await a call.
const ShortCell = `const a = await fetchIt(20);
const c = await fetchIt(a + 1);
exit(c)`
