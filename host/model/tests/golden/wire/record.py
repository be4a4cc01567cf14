"""Asks the tests' servers with the official clients, and keeps what was sent, answered and understood.

pip install openai anthropic (and elsewhere 'anthropic<1': the last that speaks the version that this project is written for);
python record.py COMMAND... (that prints the two ports: the example `wire`)
Nothing of it is needed to run the tests.
"""
import importlib.util, json, os, subprocess, sys
import anthropic
try:
    import httpx2 as httpx
except ImportError:
    import httpx

HERE = os.path.dirname(os.path.abspath(__file__))
KEY = "sk-of-nobody"
SAYS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one two three"}]
ASKS = [{"role": "user", "content": "How warm is it in Ulm?"}]
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"], "additionalProperties": False}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
TOOL = {"name": "warmth", "description": "Tells how warm it is.", "parameters": SCHEMA}


class Recorder(httpx.BaseTransport):
    """Passes a request on, and keeps both sides of it."""

    def __init__(self):
        self.inner, self.last = httpx.HTTPTransport(), None

    def handle_request(self, request):
        sent = request.read()
        reply = self.inner.handle_request(request)
        body = reply.read()
        keep = lambda headers, names: {name: headers[name] for name in names if name in headers}
        self.last = {
            "sent": {"line": f"{request.method} {request.url.raw_path.decode()}",
                     "headers": keep(request.headers, ["authorization", "x-api-key", "anthropic-version", "content-type"]),
                     "body": json.loads(sent) if sent else None},
            "replied": {"status": reply.status_code, "headers": keep(reply.headers, ["content-type", "retry-after"]),
                        "body": body.decode()},
        }
        return httpx.Response(reply.status_code, headers=reply.headers, content=body)


def attempt(ask, fault):
    try:
        return ask()
    except fault as error:
        return {"error": type(error).__name__, "status": error.status_code, "retry_after": error.response.headers.get("retry-after")}


def of_openai(port, recorder):
    import openai
    client = openai.OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0, http_client=httpx.Client(transport=recorder))

    def understood(answer):
        choice = answer.choices[0]
        calls = [[c.id, c.function.name, c.function.arguments] for c in choice.message.tool_calls or []]
        return {"text": choice.message.content or "", "calls": calls, "finish": choice.finish_reason,
                "tokens": [answer.usage.prompt_tokens, answer.usage.completion_tokens]}

    def whole(model="echo", **more):
        more = {"messages": SAYS, "max_tokens": 50, "temperature": 0.7} | more
        return understood(client.chat.completions.create(model=model, **more))

    def stream(**more):
        more = {"messages": SAYS, "max_tokens": 50, "temperature": 0.7} | more
        with client.chat.completions.stream(model="echo", stream_options={"include_usage": True}, **more) as events:
            for _ in events:
                pass
            return understood(events.get_final_completion())

    tools = [{"type": "function", "function": TOOL}]
    back = ASKS + [{"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function",
                    "function": {"name": "warmth", "arguments": '{"place":"Ulm"}'}}]},
                   {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"}]
    cases = {
        "whole": lambda: whole(stop=["END"], seed=7), "stream": lambda: stream(stop=["END"], seed=7),
        "tools": lambda: whole(messages=ASKS, tools=tools), "tools, streamed": lambda: stream(messages=ASKS, tools=tools),
        "a tool's answer": lambda: stream(messages=back, tools=tools),
        "a form": lambda: stream(messages=[{"role": "user", "content": '{"place":"Ulm"}'}], response_format=FORM),
        "locked": lambda: whole("locked"), "busy": lambda: whole("busy"), "broken": lambda: whole("broken"),
        "nobody": lambda: whole("nobody"),
        "list": lambda: {"models": [model.id for model in client.models.list()]},
        "vectors": lambda: (lambda made: {"vectors": [one.embedding for one in sorted(made.data, key=lambda one: one.index)],
                                          "tokens": [made.usage.prompt_tokens, 0]})(
            client.embeddings.create(model="embed-small", input=["a", "bcd"], encoding_format="float")),
    }
    return cases, openai.APIStatusError, openai.__version__


def of_anthropic(port, recorder):
    client = anthropic.Anthropic(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0, http_client=httpx.Client(transport=recorder))

    def understood(answer):
        calls = [[b.id, b.name, json.dumps(b.input, separators=(",", ":"))] for b in answer.content if b.type == "tool_use"]
        return {"text": "".join(b.text for b in answer.content if b.type == "text"), "calls": calls, "finish": answer.stop_reason,
                "tokens": [answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0), answer.usage.output_tokens]}

    text = lambda words: [{"type": "text", "text": words}]
    says = {"system": "Be brief.", "messages": [{"role": "user", "content": text("one two three")}]}
    asks = {"messages": [{"role": "user", "content": text("How warm is it in Ulm?")}],
            "tools": [{"name": "warmth", "description": TOOL["description"], "input_schema": SCHEMA}]}
    used = {"type": "tool_use", "id": "toolu_1", "name": "warmth", "input": {"place": "Ulm"}}
    back = asks | {"messages": asks["messages"] + [
        {"role": "assistant", "content": [used]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "21 degrees"}] + text("Well?")}]}

    # Newer clients have no argument for it.
    def whole(model="echo", **more):
        return understood(client.messages.create(model=model, max_tokens=50, extra_body={"temperature": 0.7}, **(more or says)))

    def stream(**more):
        with client.messages.stream(model="echo", max_tokens=50, extra_body={"temperature": 0.7}, **(more or says)) as events:
            for _ in events:
                pass
            return understood(events.get_final_message())

    cases = {
        "whole": lambda: whole(stop_sequences=["END"], **says), "stream": lambda: stream(stop_sequences=["END"], **says),
        "tools": lambda: whole(**asks), "tools, streamed": lambda: stream(**asks), "a tool's answer": lambda: stream(**back),
        "locked": lambda: whole("locked"), "busy": lambda: whole("busy"), "broken": lambda: whole("broken"),
        "full": lambda: whole("full"), "nobody": lambda: whole("nobody"),
        "list": lambda: {"models": [model.id for model in client.models.list(limit=1000)]},
        "count": lambda: {"tokens": [client.messages.count_tokens(
            model="echo", messages=[{"role": "user", "content": "one two three"}]).input_tokens, 0]},
    }
    return cases, anthropic.APIStatusError, anthropic.__version__


server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
ports = server.stdout.readline().split()
for name, port, build in [("openai", ports[0], of_openai), ("anthropic", ports[1], of_anthropic)]:
    if importlib.util.find_spec(name) is None:
        continue
    recorder = Recorder()
    cases, fault, version = build(port, recorder)
    kept = []
    for case, ask in cases.items():
        parsed = attempt(ask, fault)
        kept.append({"case": case, **recorder.last, "understood": parsed})
    with open(f"{HERE}/{name}-{version.split('.')[0]}.json", "w") as file:
        json.dump({"client": f"{name} {version} of PyPI", "exchanges": kept}, file, indent=1)
        file.write("\n")
    print(name, version, len(kept), "exchanges")
server.stdin.close()
server.wait()
