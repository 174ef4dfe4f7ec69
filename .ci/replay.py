"""Servers that answer as the clouds' own services do, for `collect.py`: paged, sometimes throttling, and only to whom they know."""

import base64
import http.server
import json
import socketserver
import ssl
import threading
import urllib.parse


class Replay(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """`answer(request)` gives a status, headers and a value; requests are remembered."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer, tls=None, client_authority=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.requests, self.failures = answer, [], 0
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            if client_authority:
                context.verify_mode = ssl.CERT_OPTIONAL
                context.load_verify_locations(client_authority)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_):
        pass


class Request:
    def __init__(self, handler, body):
        parts = urllib.parse.urlsplit(handler.path)
        self.method, self.path, self.body = handler.command, parts.path, body
        self.query = {key: values[0] for key, values in urllib.parse.parse_qs(parts.query).items()}
        self.headers = handler.headers
        self.is_ours = handler.headers.get("User-Agent", "").startswith("neph/")
        self.certificate = handler.connection.getpeercert() if isinstance(handler.connection, ssl.SSLSocket) else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self, body)
        self.server.requests.append(request)
        # Every seventh request is one too many; other clients would give up.
        if len(self.server.requests) % 7 == 0 and request.is_ours:
            self.server.failures += 1
            status, headers, value = 429, {"Retry-After": "0"}, {"error": {"code": 429, "message": "on purpose"}}
        else:
            status, headers, value = self.server.answer(request)
        text = json.dumps(value).encode()
        self.send_response(status)
        for name, one in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, one)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET


def pages(items, marker, size):
    """Some of the items, and the marker of what follows."""
    begin = int(marker or 0)
    return items[begin : begin + size], str(begin + size) if begin + size < len(items) else None


NOT_FOUND = (404, {}, {"error": {"code": 404, "message": "not found"}})


# ------------------------------------------------------------------------------------------------- Kubernetes


def kubernetes(token, objects):
    """An API server. `objects` are lists by their paths; somebody without token may see versions only."""

    def status(code, reason, message):
        return code, {}, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}

    def answer(request):
        known = request.headers.get("Authorization") == f"Bearer {token}" or request.certificate
        if request.path == "/version":
            return 200, {}, {"major": "1", "minor": "31", "gitVersion": "v1.31.2", "platform": "linux/amd64"}
        if not known:
            return status(403, "Forbidden", f'User "system:anonymous" cannot get path "{request.path}"')
        if request.path.endswith("/ingresses"):
            return status(403, "Forbidden", 'ingresses.networking.k8s.io is forbidden: User "audit" cannot list resource')
        found = objects.get(request.path)
        if found is None:
            return status(404, "NotFound", "the server could not find the requested resource")
        if isinstance(found, dict):
            return 200, {}, found
        version, kind, items = found
        part, more = pages(items, request.query.get("continue"), min(int(request.query.get("limit", 500)), 40))
        metadata = {"resourceVersion": "812", **({"continue": more, "remainingItemCount": 1} if more else {})}
        return 200, {}, {"kind": f"{kind}List", "apiVersion": version, "metadata": metadata, "items": part}

    return answer


def cluster():
    def named(name, namespace="web", **more):
        managed = [{"manager": "kubectl", "operation": "Update", "apiVersion": "v1"}]
        return {"metadata": {"name": name, "namespace": namespace, "uid": f"u-{name}", "managedFields": managed}, **more}

    pods = [named(f"web-{number}", spec={"hostNetwork": number == 3, "containers": [{"name": "c", "image": "shop/web:latest"}]}) for number in range(100)]
    admin = {"metadata": {"name": "ops-admin"}, "subjects": [{"kind": "Group", "name": "system:masters", "apiGroup": "rbac.authorization.k8s.io"}],
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}
    role = {"metadata": {"name": "cluster-admin"}, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}
    rbac = "/apis/rbac.authorization.k8s.io/v1/"
    objects = {
        "/api/v1/pods": ("v1", "Pod", pods), "/api/v1/nodes": ("v1", "Node", [{"metadata": {"name": "n1"}}]), "/api/v1/namespaces": ("v1", "Namespace", [{"metadata": {"name": "web"}}]),
        "/api/v1/services": ("v1", "Service", []), "/api/v1/serviceaccounts": ("v1", "ServiceAccount", [named("default")]),
        f"{rbac}clusterroles": ("rbac.authorization.k8s.io/v1", "ClusterRole", [role]),
        f"{rbac}clusterrolebindings": ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", [admin]),
        f"{rbac}roles": ("rbac.authorization.k8s.io/v1", "Role", []), f"{rbac}rolebindings": ("rbac.authorization.k8s.io/v1", "RoleBinding", []),
        "/apis/networking.k8s.io/v1/networkpolicies": ("networking.k8s.io/v1", "NetworkPolicy", [named("deny", spec={"podSelector": {}})]),
        "/api/v1/namespaces/kube-system/configmaps/aws-auth": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "aws-auth"}, "data": {"mapRoles": "[]"}},
    }
    for kind in ("daemonsets", "deployments", "replicasets", "statefulsets"):
        objects[f"/apis/apps/v1/{kind}"] = ("apps/v1", {"daemonsets": "DaemonSet", "deployments": "Deployment", "replicasets": "ReplicaSet", "statefulsets": "StatefulSet"}[kind], [named(kind)])
    for kind in ("cronjobs", "jobs"):
        objects[f"/apis/batch/v1/{kind}"] = ("batch/v1", {"cronjobs": "CronJob", "jobs": "Job"}[kind], [])
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        objects[f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}s"] = ("admissionregistration.k8s.io/v1", kind, [{"metadata": {"name": "w"}}])
    return objects


# -------------------------------------------------------------------------------------------------- OpenStack


def openstack(user, password, application):
    """Keystone, cinder and glance on one address."""
    project = "8a1b2c3d4e5f60718293a4b5c6d7e8f9"
    snapshots = [
        {"id": f"5f1d0000-0000-4000-8000-{number:012d}", "name": f"nightly-{number}", "description": None if number % 2 else "by the backup", "status": "available", "size": 20,
         "created_at": "2026-10-01T02:00:00.000000", "updated_at": None, "volume_id": "7d100000-0000-4000-8000-000000000001", "metadata": {"owner": "backup"}, "user_id": "u",
         "os-extended-snapshot-attributes:progress": "100%", "os-extended-snapshot-attributes:project_id": project, "group_snapshot_id": None}
        for number in range(130)
    ]
    volumes = [{"id": "7d100000-0000-4000-8000-000000000001", "name": "db", "status": "available", "size": 20, "volume_type": "ceph-ssd", "bootable": "true", "attachments": [], "metadata": {}, "encrypted": False}]
    backups = [{"id": "b0000000-0000-4000-8000-000000000001", "name": "weekly", "description": "", "status": "available", "size": 20, "is_incremental": False, "created_at": "2026-10-04T02:00:00.000000",
                "availability_zone": "GZ1", "volume_id": volumes[0]["id"], "container": "volumebackups", "object_count": 3, "fail_reason": None}]
    images = [
        {"id": f"1a6e0000-0000-4000-8000-{number:012d}", "name": f"golden-{number}", "disk_format": "raw", "container_format": "bare", "size": 2147483648, "checksum": f"{number:032x}", "status": "active",
         "visibility": "shared" if number == 0 else "private", "protected": False, "owner": project, "os_hash_algo": "sha512", "os_hash_value": f"{number:0128x}", "tags": ["golden"], "min_disk": 0, "min_ram": 0,
         "os_hidden": False, "created_at": "2026-09-01T10:00:00Z", "updated_at": "2026-09-01T10:05:00Z", "file": "/v2/images/x/file", "schema": "/v2/schemas/image", "virtual_size": None, "self": "/v2/images/x"}
        for number in range(45)
    ]
    assignment = {"role": {"id": "r1", "name": "admin"}, "user": {"id": "u1", "name": "ann", "domain": {"id": "default", "name": "Default"}},
                  "scope": {"project": {"id": project, "name": "shop", "domain": {"id": "default", "name": "Default"}}}, "links": {"assignment": "x"}}
    inherited = {"role": {"id": "r2", "name": "reader"}, "group": {"id": "g1", "name": "audit", "domain": {"id": "default", "name": "Default"}},
                 "scope": {"domain": {"id": "default", "name": "Default"}, "OS-INHERIT:inherited_to": "projects"}, "links": {"assignment": "y"}}
    system = {"role": {"id": "r1", "name": "admin"}, "user": assignment["user"], "scope": {"system": {"all": True}}, "links": {"assignment": "z"}}

    def answer(request):
        base = f"http://{request.headers['Host']}"
        path = request.path
        if path in ("", "/", "/v3", "/v3/"):
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{base}/v3/"}], "media-types": []}
            return 200, {}, {"version": version} if path.startswith("/v3") else {"versions": {"values": [version]}}
        if path == "/v3/auth/tokens" and request.method == "POST":
            identity = json.loads(request.body)["auth"]["identity"]
            by_password = identity.get("password", {}).get("user", {})
            by_application = identity.get("application_credential", {})
            if not (by_password.get("name") == user and by_password.get("password") == password or by_application.get("id") == "app" and by_application.get("secret") == application):
                return 401, {}, {"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}}
            def service(kind, url):
                ends = [{"id": f"{kind}-{interface}", "interface": interface, "region": "RegionOne", "region_id": "RegionOne", "url": url} for interface in ("public", "internal")]
                return {"id": kind, "type": kind, "name": kind, "endpoints": ends}
            catalogue = [service("identity", f"{base}/v3"), service("volumev3", f"{base}/volume/v3/{project}"), service("image", f"{base}/image")]
            token = {"methods": ["password"], "user": {"id": "u1", "name": user, "domain": {"id": "default", "name": "Default"}}, "project": {"id": project, "name": "shop", "domain": {"id": "default", "name": "Default"}},
                     "roles": [{"id": "r1", "name": "admin"}], "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-11-01T00:00:00.000000Z", "catalog": catalogue, "audit_ids": ["a"]}
            return 201, {"X-Subject-Token": "gAAAAA-a-token-of-keystone"}, {"token": token}
        if request.headers.get("X-Auth-Token") != "gAAAAA-a-token-of-keystone":
            return 401, {}, {"error": {"code": 401, "message": "no token"}}
        if path.rstrip("/") in ("/volume", "/volume/v3"):
            version = {"id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "updated": "", "links": [{"rel": "self", "href": f"{base}/volume/v3/"}], "media-types": []}
            return 200, {}, {"versions": [version]}
        if path.rstrip("/") in ("/image", "/image/v2"):
            return 200, {}, {"versions": [{"id": "v2.15", "status": "CURRENT", "links": [{"rel": "self", "href": f"{base}/image/v2/"}]}]}
        cinder = {f"/volume/v3/{project}/{key}/detail": (key, items) for key, items in (("snapshots", snapshots), ("volumes", volumes), ("backups", backups))}
        if path in cinder:
            key, items = cinder[path]
            part, more = pages(items, request.query.get("marker"), min(int(request.query.get("limit", 50)), 50))
            # Behind a proxy it gives the address that it has inside, which other clients cannot reach.
            inside = "http://inside:8776" if request.is_ours else base
            links = {f"{key}_links": [{"rel": "next", "href": f"{inside}{path}?limit=50&marker={more}"}]} if more else {}
            return 200, {}, {key: part, **links}
        if path == "/image/v2/images":
            part, more = pages(images, request.query.get("marker"), 20)
            return 200, {}, {"images": part, "schema": "/v2/schemas/images", "first": "/v2/images", **({"next": f"/v2/images?limit=20&marker={more}"} if more else {})}
        if path.startswith("/image/v2/images/") and path.endswith("/members"):
            image = path.split("/")[4]
            return 200, {}, {"members": [{"image_id": image, "member_id": "0other0project", "status": "accepted", "created_at": "x", "updated_at": "x", "schema": "x"}], "schema": "x"}
        if path == "/v3/role_assignments":
            return 200, {}, {"role_assignments": [assignment, inherited, system], "links": {"next": None, "self": "x", "previous": None}}
        if path == "/v3/role_inferences":
            return 200, {}, {"role_inferences": [{"prior_role": {"id": "r1", "name": "admin"}, "implies": [{"id": "r3", "name": "member"}, {"id": "r2", "name": "reader"}]}], "links": {}}
        return NOT_FOUND

    return answer


# ----------------------------------------------------------------------------------------------- Google Cloud


def gcp(verify):
    """The interfaces of a project; `verify` looks at the statement by which a token is asked for."""
    zone = "https://www.googleapis.com/compute/v1/projects/shop-1/zones/europe-west1-b"
    snapshots = [{"kind": "compute#snapshot", "id": str(number), "name": f"nightly-{number}", "diskSizeGb": "20", "status": "READY", "sourceDisk": f"{zone}/disks/db", "selfLink": f"https://www.googleapis.com/compute/v1/projects/shop-1/global/snapshots/nightly-{number}"} for number in range(90)]
    metadata = {"kind": "compute#metadata", "items": [{"key": "startup-script", "value": "export PASSWORD=hunter2"}, {"key": "disable-legacy-endpoints", "value": "true"}]}
    instances = {"zones/europe-west1-b": {"instances": [{"kind": "compute#instance", "name": "web", "zone": zone, "metadata": metadata}]},
                 "zones/us-east1-b": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "no results"}}}
    binding = {"role": "roles/compute.storageAdmin", "members": ["user:ann@example.org"]}

    def answer(request):
        path = request.path
        if path == "/token":
            return (200, {}, {"access_token": "ya29.a-token", "expires_in": 3599, "token_type": "Bearer"}) if verify(request.body) else (400, {}, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        if request.headers.get("Authorization") != "Bearer ya29.a-token":
            return 401, {}, {"error": {"code": 401, "message": "Request had invalid authentication credentials."}}
        compute = "/compute/v1/projects/shop-1"
        if path == f"{compute}/global/snapshots":
            part, more = pages(snapshots, request.query.get("pageToken"), 40)
            return 200, {}, {"kind": "compute#snapshotList", "items": part, **({"nextPageToken": more} if more else {})}
        if path == f"{compute}/aggregated/instances":
            return 200, {}, {"kind": "compute#instanceAggregatedList", "items": instances}
        if path == f"{compute}/global/images":
            return 200, {}, {"kind": "compute#imageList", "items": [{"kind": "compute#image", "name": "golden", "selfLink": "https://www.googleapis.com/compute/v1/projects/shop-1/global/images/golden"}]}
        if path == compute:
            return 200, {}, {"kind": "compute#project", "name": "shop-1", "commonInstanceMetadata": metadata}
        if path.startswith(compute):
            return 200, {}, {"kind": "compute#list"}
        if path == "/v1/projects/shop-1:getAncestry":
            return 200, {}, {"ancestor": [{"resourceId": {"type": kind, "id": id}} for kind, id in (("project", "shop-1"), ("folder", "77"), ("organization", "99"))]}
        if path == "/v1/projects/shop-1:getIamPolicy":
            return 200, {}, {"version": 1, "etag": "e", "bindings": [binding]}
        if path == "/v2/folders/77:getIamPolicy":
            return 200, {}, {"version": 1, "etag": "e"}
        if path == "/v1/organizations/99:getIamPolicy":
            return 403, {}, {"error": {"code": 403, "message": "The caller does not have permission", "status": "PERMISSION_DENIED"}}
        if path == "/v1/roles/compute.storageAdmin":
            return 200, {}, {"name": "roles/compute.storageAdmin", "title": "t", "includedPermissions": ["compute.snapshots.create", "compute.images.create"], "stage": "GA", "etag": "e"}
        if path == "/v1/projects/shop-1/roles":
            return 200, {}, {}
        if path == "/v1/projects/shop-1:searchAllIamPolicies":
            return 403, {}, {"error": {"code": 403, "message": "Cloud Asset API has not been used in project 1 before or it is disabled.", "status": "PERMISSION_DENIED"}}
        if path == "/v1/projects/shop-1/locations/-/clusters":
            return 200, {}, {"clusters": [{"name": "prod", "masterAuth": {"clientKey": "k", "clusterCaCertificate": "c"}}]}
        if path.endswith("projects%2Fshop-1/denypolicies"):
            return 200, {}, {}
        return NOT_FOUND

    return answer


def statement(body):
    """The claims of the statement in a request for a token, and what was signed."""
    form = urllib.parse.parse_qs(body.decode())
    head, claims, signature = form["assertion"][0].split(".")
    decode = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return json.loads(decode(claims)), f"{head}.{claims}".encode(), decode(signature)


# ------------------------------------------------------------------------------------------------------ Azure


def azure(secret):
    subscription, tenant = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
    group = f"/subscriptions/{subscription}/resourceGroups/backup"
    compute = f"{group}/providers/Microsoft.Compute"
    snapshots = [{"id": f"{compute}/snapshots/s{number}", "name": f"s{number}", "type": "Microsoft.Compute/snapshots", "location": "westeurope", "sku": {"name": "Standard_ZRS"},
                  "properties": {"creationData": {"createOption": "Copy", "sourceResourceId": f"{compute}/disks/db"}, "diskSizeGB": 20, "networkAccessPolicy": "AllowAll", "provisioningState": "Succeeded"}} for number in range(70)]
    definition = {"id": f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/7efff54f", "name": "7efff54f", "type": "Microsoft.Authorization/roleDefinitions",
                  "properties": {"roleName": "Disk Snapshot Contributor", "type": "BuiltInRole", "assignableScopes": ["/"], "permissions": [{"actions": ["Microsoft.Compute/snapshots/write"], "notActions": [], "dataActions": [], "notDataActions": []}]}}
    assignment = {"id": f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleAssignments/a1", "name": "a1", "type": "Microsoft.Authorization/roleAssignments",
                  "properties": {"roleDefinitionId": definition["id"], "principalId": "p-ann", "principalType": "User", "scope": f"/subscriptions/{subscription}"}}

    def answer(request):
        base, path = f"http://{request.headers['Host']}", request.path
        if path == f"/{tenant}/oauth2/v2.0/token":
            form = urllib.parse.parse_qs(request.body.decode())
            if form["client_secret"] != [secret]:
                return 401, {}, {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid client secret provided: {form['client_secret'][0]}"}
            return 200, {}, {"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ.a.token"}
        if request.headers.get("Authorization") != "Bearer eyJ.a.token" or "api-version" not in request.query:
            return 401, {}, {"error": {"code": "InvalidAuthenticationToken", "message": "The access token is invalid."}}
        if path == "/subscriptions":
            return 200, {}, {"value": [{"id": f"/subscriptions/{subscription}", "subscriptionId": subscription, "tenantId": tenant, "displayName": "shop", "state": "Enabled"}]}
        prefix = f"/subscriptions/{subscription}/providers/"
        name = path.removeprefix(prefix)
        if name == "Microsoft.Compute/snapshots":
            part, more = pages(snapshots, request.query.get("$skiptoken"), 30)
            next_link = {"nextLink": f"{base}{path}?api-version={request.query['api-version']}&%24skiptoken={more}"} if more else {}
            return 200, {}, {"value": part, **next_link}
        lists = {
            "Microsoft.Compute/galleries": [{"id": f"{compute}/galleries/golden", "name": "golden", "location": "westeurope", "properties": {}}],
            "Microsoft.Authorization/roleDefinitions": [definition], "Microsoft.Authorization/roleAssignments": [assignment],
        }
        if name in lists:
            return 200, {}, {"value": lists[name]}
        if name == "Microsoft.ContainerService/managedClusters":
            return 403, {}, {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization to perform action 'Microsoft.ContainerService/managedClusters/read'"}}
        if path.startswith(prefix):
            return 200, {}, {"value": []}
        if path == f"{compute}/galleries/golden/images":
            return 200, {}, {"value": [{"id": f"{compute}/galleries/golden/images/web", "name": "web", "properties": {"osType": "Linux"}}]}
        if path == f"{compute}/galleries/golden/images/web/versions":
            return 200, {}, {"value": [{"id": f"{compute}/galleries/golden/images/web/versions/1.0.0", "name": "1.0.0", "properties": {"publishingProfile": {"publishedDate": "2026-10-01T00:00:00Z"}}}]}
        if path.startswith("/providers/Microsoft.Management/managementGroups/"):
            return 200, {}, {"id": path, "type": "Microsoft.Management/managementGroups", "name": tenant, "properties": {"displayName": "root", "children": [{"id": f"/subscriptions/{subscription}", "type": "/subscriptions", "name": subscription}]}}
        return NOT_FOUND

    return answer, subscription, tenant
