// Reads Kubernetes objects as JSON from standard input, a list; prints what their schemas say against them.
// The schemas are those of the npm package kubernetes-models, whose folder comes as the argument. They allow keys that
// they do not know: a key that validation never looked at is one.
const path = require('path');
const folder = process.argv[2];

function watched(value, where, unseen) {
  if (value === null || typeof value !== 'object') return value;
  const inside = {};
  for (const key of Object.keys(value)) {
    unseen.add(`${where}.${key}`);
    inside[key] = watched(value[key], `${where}.${key}`, unseen);
  }
  const see = (key) => unseen.delete(`${where}.${String(key)}`);
  return new Proxy(value, {
    get: (target, key) => (see(key), Object.hasOwn(inside, key) ? inside[key] : target[key]),
    ownKeys: (target) => (Object.keys(target).forEach(see), Reflect.ownKeys(target)),
  });
}

const objects = JSON.parse(require('fs').readFileSync(0, 'utf8'));
let wrong = 0;
for (const object of objects) {
  const complaints = [];
  try {
    const [version, group] = object.apiVersion.split('/').reverse();
    const kinds = require(path.join(folder, group ?? '', version));
    const model = kinds[object.kind];
    const unseen = new Set();
    model.prototype.validate.call(watched(object, '', unseen));
    for (const key of unseen) complaints.push(`unknown key ${key}`);
  } catch (error) {
    complaints.push(error.message);
  }
  for (const complaint of complaints) console.log(`${object.kind} ${object.metadata?.name}: ${complaint}`);
  wrong += complaints.length > 0;
}
console.log(`${objects.length} objects, ${wrong} wrong`);
process.exit(wrong ? 1 : 0);
