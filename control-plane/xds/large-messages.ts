// Says who sends messages that are larger than the server reads. gRPC ends such a stream by itself, and tells nobody why.
import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
import type { LogRefusal } from "./refusal-log.ts";

/** What gRPC says to the client of such a stream. */
const TOO_LARGE = /^Received message (?:larger than|that decompresses to)/;

/** Passes everything on as it is. */
export function tellingOfLargeMessages(log: LogRefusal): ServerInterceptor {
  return (_method, call) => {
    const sendStatus = call.sendStatus.bind(call);
    // The call ends itself by its own method, below all interceptors.
    call.sendStatus = (status) => {
      if (TOO_LARGE.test(status.details ?? "")) log("message-too-large", call.getPeer().replace(/:\d+$/, ""));
      sendStatus(status);
    };
    return new ServerInterceptingCall(call);
  };
}
