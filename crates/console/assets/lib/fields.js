// Values of ECS documents, whose keys may be nested, dotted, or both.

/** Deeper than this nothing is looked for. */
const DEEPEST = 48;

/** All values of a field, in the order of the document. */
export function valuesOf(document, path, into = [], depth = 0) {
  if (document === null || typeof document !== 'object' || depth > DEEPEST) return into;
  if (Array.isArray(document)) {
    for (const one of document) valuesOf(one, path, into, depth + 1);
    return into;
  }
  if (Object.hasOwn(document, path)) {
    for (const one of [].concat(document[path])) if (one !== null && typeof one !== 'object') into.push(one);
  }
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const head = path.slice(0, dot);
    if (Object.hasOwn(document, head)) valuesOf(document[head], path.slice(dot + 1), into, depth + 1);
  }
  return into;
}

/** The first value of the first of these fields that has one. */
export function firstOf(document, ...paths) {
  for (const path of paths) {
    const found = valuesOf(document, path).find((value) => value !== '');
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The same with its field: `{ field, value }`. */
export function namedOf(document, ...paths) {
  for (const field of paths) {
    const value = firstOf(document, field);
    if (value !== undefined) return { field, value };
  }
  return null;
}

/** The documents of an alert's own events, in their order. */
export const eventsOf = (whole) => (whole?.document?.neph?.alert?.steps || []).flatMap((step) => (step.events || []).filter((event) => event.document));

/** Where requests to clouds and clusters name what they are about. */
export const RESOURCES = [
  'cloud.instance.id', 'aws.cloudtrail.flattened.request_parameters.instanceId', 'aws.cloudtrail.flattened.request_parameters.snapshotId', 'aws.cloudtrail.flattened.request_parameters.volumeId',
  'aws.cloudtrail.flattened.request_parameters.imageId', 'aws.cloudtrail.flattened.request_parameters.bucketName', 'aws.cloudtrail.flattened.request_parameters.repositoryName', 'aws.cloudtrail.flattened.request_parameters.roleName',
  'aws.cloudtrail.flattened.request_parameters.roleArn', 'aws.cloudtrail.flattened.request_parameters.userName', 'aws.s3.object.key', 'azure.resource.name', 'azure.resource.id', 'gcp.audit.resource_name',
  'orchestrator.resource.name', 'kubernetes.audit.objectRef.name', 'kubernetes.audit.requestURI', 'container.image.name', 'container.name', 'url.path', 'url.original',
];

/** Who did something, as the event says. */
export const principalOf = (document) => namedOf(document, 'user.email', 'user.name', 'user.id', 'aws.cloudtrail.user_identity.arn', 'client.user.email');

/** The session that somebody did it in. */
export const sessionOf = (document) => namedOf(document, 'aws.cloudtrail.user_identity.access_key_id', 'gcp.audit.authentication_info.authority_selector', 'azure.signinlogs.properties.correlation_id', 'process.entry_leader.entity_id', 'client.ip', 'source.ip');

/** Whether an event is a request to a cloud or a cluster, and not of a process. */
export const isCall = (document) => !firstOf(document, 'process.entity_id', 'process.pid') && Boolean(firstOf(document, 'event.action')) && Boolean(firstOf(document, 'cloud.provider', 'cloud.account.id', 'cloud.service.name', 'orchestrator.type', 'orchestrator.cluster.name', 'kubernetes.audit.verb', 'event.provider', 'url.path'));
