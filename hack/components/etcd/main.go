// Command etcd-descriptors prints what etcd serves by gRPC: a FileDescriptorSet, in protobuf's
// binary form, with the services that a server of this version registers and with all messages.
//
// The list of services comes from a server that is really started, on loopback and with an empty
// data folder, so that nobody has to know it.
package main

import (
	"errors"
	"fmt"
	"log"
	"maps"
	"net/url"
	"os"
	"slices"

	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	services, err := registered()
	if err != nil {
		log.Fatal(err)
	}
	set, err := describe(services)
	if err != nil {
		log.Fatal(err)
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(content); err != nil {
		log.Fatal(err)
	}
}

// registered returns the names of the services that a started server has.
func registered() (map[protoreflect.FullName]bool, error) {
	folder, err := os.MkdirTemp("", "etcd-descriptors-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)

	found := make(chan map[protoreflect.FullName]bool, 1)
	config := embed.NewConfig()
	config.Dir = folder
	// Its errors are about being closed so soon.
	config.LogLevel = "fatal"
	config.UnsafeNoFsync = true
	// Any free port, and nobody is told which.
	anywhere := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.AdvertiseClientUrls = anywhere, anywhere
	config.ListenPeerUrls, config.AdvertisePeerUrls = anywhere, anywhere
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// Called after the server has registered its own.
	config.ServiceRegister = func(server *grpc.Server) {
		names := map[protoreflect.FullName]bool{}
		for name := range server.GetServiceInfo() {
			names[protoreflect.FullName(name)] = true
		}
		found <- names
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	select {
	case names := <-found:
		return names, nil
	case err := <-server.Err():
		return nil, err
	case <-server.Server.StopNotify():
		return nil, errors.New("etcd has stopped")
	}
}

// describe returns the files of these services and of all that they use, each after what it uses.
func describe(services map[protoreflect.FullName]bool) (*descriptorpb.FileDescriptorSet, error) {
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		used := uses(file)
		for _, path := range slices.Sorted(maps.Keys(used)) {
			add(used[path])
		}
		set.File = append(set.File, only(services, file, used))
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		service, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		add(service.ParentFile())
	}
	return set, nil
}

// uses returns the files, by path, of the types that a file uses. What etcd's files import are
// other paths than those that the imported files register themselves by.
func uses(file protoreflect.FileDescriptor) map[string]protoreflect.FileDescriptor {
	used := map[string]protoreflect.FileDescriptor{}
	note := func(other protoreflect.FileDescriptor) {
		if other.Path() != file.Path() {
			used[other.Path()] = other
		}
	}
	var visit func(messages protoreflect.MessageDescriptors)
	visit = func(messages protoreflect.MessageDescriptors) {
		for i := range messages.Len() {
			fields := messages.Get(i).Fields()
			for j := range fields.Len() {
				if message := fields.Get(j).Message(); message != nil {
					note(message.ParentFile())
				}
				if enum := fields.Get(j).Enum(); enum != nil {
					note(enum.ParentFile())
				}
			}
			visit(messages.Get(i).Messages())
		}
	}
	visit(file.Messages())
	for i := range file.Services().Len() {
		methods := file.Services().Get(i).Methods()
		for j := range methods.Len() {
			note(methods.Get(j).Input().ParentFile())
			note(methods.Get(j).Output().ParentFile())
		}
	}
	return used
}

// only returns the file with those of its services that are given and the imports that it needs.
func only(
	services map[protoreflect.FullName]bool,
	file protoreflect.FileDescriptor,
	used map[string]protoreflect.FileDescriptor,
) *descriptorpb.FileDescriptorProto {
	described := protodesc.ToFileDescriptorProto(file)
	described.Dependency = slices.Sorted(maps.Keys(used))
	described.PublicDependency, described.WeakDependency = nil, nil
	described.Service = slices.DeleteFunc(
		described.Service,
		func(service *descriptorpb.ServiceDescriptorProto) bool {
			return !services[file.Package().Append(protoreflect.Name(service.GetName()))]
		},
	)
	return described
}
