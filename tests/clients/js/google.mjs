// @google/genai: generateContent.
import { GoogleGenAI } from "@google/genai";
import { resultsOf, serve } from "./serve.mjs";

function make(base_url, key) {
  const client = new GoogleGenAI({ apiKey: key, vertexai: false, httpOptions: { baseUrl: base_url, timeout: 60_000 } });
  return {
    models: async () => (await Array.fromAsync(await client.models.list())).map((model) => model.name.replace("models/", "")),
    count: async ({ model, prompt }) => (await client.models.countTokens({ model, contents: prompt })).totalTokens,
    embed: async ({ model, texts, ...config }) =>
      (await client.models.embedContent({ model, contents: texts, config })).embeddings.map((embedding) => embedding.values),
    async ask(ask) {
      const history = ask.after ? ask.after.history : [];
      const turn = nextTurn(ask);
      const [model, config] = [ask.model, options(ask)];
      if (ask.mode === "helper") {
        // A chat keeps the history by itself.
        const chat = client.chats.create({ model, config, history });
        const chunks = await Array.fromAsync(await chat.sendMessageStream({ message: turn.parts }));
        return answer(chunks, chunks.length, chat.getHistory());
      }
      const contents = [...history, turn];
      if (ask.mode === "whole") {
        const whole = await client.models.generateContent({ model, contents, config });
        return answer([whole], 0, [...contents, whole.candidates[0].content]);
      }
      const chunks = await Array.fromAsync(await client.models.generateContentStream({ model, contents, config }));
      return answer(chunks, chunks.length, [...contents, { role: "model", parts: chunks.flatMap(partsOf) }]);
    },
  };
}

function nextTurn(ask) {
  const results = resultsOf(ask);
  if (results.length) {
    const parts = results.map(([id, result]) => {
      const call = ask.after.calls.find((call) => call.id === id);
      return { functionResponse: { id: call.given, name: call.name, response: { result } } };
    });
    return { role: "user", parts };
  }
  const picture = ask.image ? [{ inlineData: { mimeType: "image/png", data: ask.image } }] : [];
  return { role: "user", parts: [{ text: ask.prompt }, ...picture] };
}

function options(ask) {
  const config = {};
  if (ask.system) config.systemInstruction = ask.system;
  if (ask.tools.length) {
    const functionDeclarations = ask.tools.map(({ parameters, ...tool }) => ({ ...tool, parametersJsonSchema: parameters }));
    config.tools = [{ functionDeclarations }];
  }
  if (ask.force) config.toolConfig = { functionCallingConfig: { mode: "ANY", allowedFunctionNames: [ask.force] } };
  if (ask.schema) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: ask.schema });
  if (ask.thinking) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 1024 };
  if (ask.max) config.maxOutputTokens = ask.max;
  if (ask.stop) config.stopSequences = [ask.stop];
  return config;
}

const partsOf = (chunk) => chunk.candidates?.[0]?.content?.parts ?? [];

function answer(chunks, pieces, history) {
  const parts = chunks.flatMap(partsOf);
  const texts = (thought) => parts.filter((part) => part.text && !!part.thought === thought).map((part) => part.text).join("");
  const calls = parts.filter((part) => part.functionCall).map(({ functionCall: call }, place) => ({
    // Older models give no ids: then the order pairs calls and results.
    id: call.id ?? `call-${place}`, given: call.id, name: call.name, arguments: call.args ?? {},
  }));
  const usage = chunks.findLast((chunk) => chunk.usageMetadata)?.usageMetadata;
  return {
    text: texts(false), thinking: texts(true), pieces,
    calls: calls.map(({ given, ...call }) => call),
    finish: chunks.findLast((chunk) => chunk.candidates?.[0]?.finishReason)?.candidates[0].finishReason ?? null,
    usage: usage ? {
      input: (usage.promptTokenCount ?? 0) + (usage.toolUsePromptTokenCount ?? 0),
      output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
      reasoning: usage.thoughtsTokenCount ?? 0, cached: usage.cachedContentTokenCount ?? 0, total: usage.totalTokenCount,
    } : null,
    history: { history, calls },
  };
}

await serve({ "": make });
