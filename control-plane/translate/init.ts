// The plain-object form of generated messages: what the pure parts of translation build, spread and compare before they are encoded.
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";

/** What a message is created from, without the message itself: unlike `MessageInitShape`, it can be spread. */
export type Init<Desc extends DescMessage> = Exclude<MessageInitShape<Desc>, { readonly $typeName: string }>;
